/* Records what a process does to the files below one folder: writes, truncations, names, and when
 * they are synced. Loaded with LD_PRELOAD; the test makes of the record what a disk could hold after
 * the power went.
 *
 * POWER_FOLDER: the folder, an absolute path without links. POWER_LOG: the record, outside of it.
 *
 * Each operation is done and recorded under one lock, so that the record's order is the order of the
 * operations. A sync is recorded twice, before and after: what was recorded before its beginning is
 * on disk once its end is recorded. The lock is not held while the disk works.
 *
 * Entries: u32 length of the rest, u8 kind, u64 file, u64 number, bytes. Kinds: N name of a file made
 * (bytes: path), O file opened that was there (path), W write (number: offset; bytes: data),
 * T truncate (length), S and s begin and end of a sync (number: which), D and d the same of the
 * folder, R rename (bytes: old, NUL, new), U unlink (path), X something that is not understood.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FDS 4096
#define MAX_FILES 4096
#define FOLDER_ITSELF 1

#define REAL(type, name) ((type)real(#name))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static size_t folder_length;
static int record_fd = -1;
/* File of each descriptor, 0 for none that matters. */
static uint64_t file_of[MAX_FDS];
/* Files by their present path, below the folder. The first is the folder. */
static struct { char path[256]; uint64_t file; } names[MAX_FILES];
static size_t names_used;
static uint64_t last_file = FOLDER_ITSELF;
static uint64_t last_sync;

static void *real(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (function == NULL) {
        fprintf(stderr, "shim: no %s\n", name);
        _exit(125);
    }
    return function;
}

typedef ssize_t (*write_fn)(int, const void *, size_t);
typedef ssize_t (*pwrite_fn)(int, const void *, size_t, off64_t);
typedef int (*fd_fn)(int);
typedef int (*open_fn)(const char *, int, ...);
typedef int (*openat_fn)(int, const char *, int, ...);

static void fail(const char *what) {
    fprintf(stderr, "shim: %s\n", what);
    _exit(125);
}

static void record(char kind, uint64_t file, uint64_t number, const void *bytes, size_t length) {
    unsigned char head[21];
    uint32_t rest = (uint32_t)(17 + length);
    memcpy(head, &rest, 4);
    head[4] = (unsigned char)kind;
    memcpy(head + 5, &file, 8);
    memcpy(head + 13, &number, 8);
    struct iovec parts[2] = {{head, sizeof head}, {(void *)bytes, length}};
    static ssize_t (*real_writev)(int, const struct iovec *, int);
    if (real_writev == NULL) real_writev = REAL(ssize_t (*)(int, const struct iovec *, int), writev);
    if (real_writev(record_fd, parts, 2) != (ssize_t)(sizeof head + length)) fail("record is full");
}

__attribute__((constructor)) static void begin(void) {
    const char *of = getenv("POWER_FOLDER"), *log = getenv("POWER_LOG");
    if (of == NULL || log == NULL || strlen(of) >= sizeof folder) return;
    record_fd = REAL(open_fn, open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (record_fd < 0) fail("no record");
    folder_length = strlen(of);
    memcpy(folder, of, folder_length + 1);
}

/* The path below the folder, "" for the folder itself, NULL for all else. */
static const char *below(const char *path) {
    if (record_fd < 0 || strncmp(path, folder, folder_length) != 0) return NULL;
    if (path[folder_length] == '\0') return path + folder_length;
    if (path[folder_length] != '/') return NULL;
    if (strchr(path + folder_length + 1, '/') != NULL) fail("a folder in the folder");
    return path + folder_length + 1;
}

static size_t place_of(const char *path) {
    size_t at = 0;
    while (at < names_used && strcmp(names[at].path, path) != 0) at++;
    return at;
}

static void forget(const char *path) {
    size_t at = place_of(path);
    if (at < names_used) names[at] = names[--names_used];
}

static void name(const char *path, uint64_t file) {
    forget(path);
    if (names_used == MAX_FILES || strlen(path) >= sizeof names[0].path) fail("too many names");
    strcpy(names[names_used].path, path);
    names[names_used++].file = file;
}

/* After an open: which file is it, was it made, was it cut. */
static int opened(int fd, const char *path, int flags, int was_there) {
    if (fd < 0) return fd;
    if (fd >= MAX_FDS) fail("too many descriptors");
    file_of[fd] = 0;
    const char *inside = below(path);
    if (inside == NULL) return fd;
    if (inside[0] == '\0') {
        file_of[fd] = FOLDER_ITSELF;
        return fd;
    }
    size_t at = place_of(inside);
    if (!was_there || at == names_used) {
        name(inside, ++last_file);
        at = place_of(inside);
        record(was_there ? 'O' : 'N', last_file, 0, inside, strlen(inside));
    }
    file_of[fd] = names[at].file;
    if (was_there && (flags & O_TRUNC)) record('T', names[at].file, 0, NULL, 0);
    return fd;
}

static int there(const char *path) {
    struct stat status;
    return stat(path, &status) == 0;
}

#define OPEN(function)                                                                             \
    int function(const char *path, int flags, ...) {                                               \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode_t mode = va_arg(rest, mode_t);                                                        \
        va_end(rest);                                                                              \
        open_fn next = REAL(open_fn, function);                                                    \
        if (below(path) == NULL) {                                                                 \
            int fd = next(path, flags, mode), kept = errno;                                        \
            if (fd >= 0 && fd < MAX_FDS) file_of[fd] = 0;                                          \
            errno = kept;                                                                          \
            return fd;                                                                             \
        }                                                                                          \
        pthread_mutex_lock(&lock);                                                                 \
        int was_there = there(path);                                                               \
        int fd = opened(next(path, flags, mode), path, flags, was_there), kept = errno;            \
        pthread_mutex_unlock(&lock);                                                               \
        errno = kept;                                                                              \
        return fd;                                                                                 \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(function)                                                                           \
    int function(int at, const char *path, int flags, ...) {                                       \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode_t mode = va_arg(rest, mode_t);                                                        \
        va_end(rest);                                                                              \
        if (path[0] == '/') return open(path, flags, mode);                                        \
        int fd = REAL(openat_fn, function)(at, path, flags, mode);                                 \
        if (fd >= 0 && fd < MAX_FDS) file_of[fd] = 0;                                              \
        return fd;                                                                                 \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
    if (fd >= 0 && fd < MAX_FDS) file_of[fd] = 0;
    return REAL(fd_fn, close)(fd);
}

static uint64_t tracked(int fd) {
    return fd >= 0 && fd < MAX_FDS ? file_of[fd] : 0;
}

int fcntl64(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    int result = REAL(int (*)(int, int, ...), fcntl64)(fd, command, argument);
    int copies = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
    if (copies && result >= 0 && result < MAX_FDS) file_of[result] = tracked(fd);
    return result;
}

int fcntl(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return fcntl64(fd, command, argument);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    write_fn next = REAL(write_fn, write);
    uint64_t file = tracked(fd);
    if (file == 0) return next(fd, bytes, length);
    pthread_mutex_lock(&lock);
    ssize_t done = next(fd, bytes, length);
    int kept = errno;
    off_t end = lseek(fd, 0, SEEK_CUR);
    if (done > 0) record('W', file, (uint64_t)(end - done), bytes, (size_t)done);
    pthread_mutex_unlock(&lock);
    errno = kept;
    return done;
}

#define PWRITE(function)                                                                           \
    ssize_t function(int fd, const void *bytes, size_t length, off64_t offset) {                   \
        pwrite_fn next = REAL(pwrite_fn, function);                                                \
        uint64_t file = tracked(fd);                                                               \
        if (file == 0) return next(fd, bytes, length, offset);                                     \
        pthread_mutex_lock(&lock);                                                                 \
        ssize_t done = next(fd, bytes, length, offset);                                            \
        int kept = errno;                                                                          \
        if (done > 0) record('W', file, (uint64_t)offset, bytes, (size_t)done);                    \
        pthread_mutex_unlock(&lock);                                                               \
        errno = kept;                                                                              \
        return done;                                                                               \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

#define TRUNCATE(function)                                                                         \
    int function(int fd, off64_t length) {                                                         \
        int (*next)(int, off64_t) = REAL(int (*)(int, off64_t), function);                         \
        uint64_t file = tracked(fd);                                                               \
        if (file == 0) return next(fd, length);                                                    \
        pthread_mutex_lock(&lock);                                                                 \
        int result = next(fd, length), kept = errno;                                               \
        if (result == 0) record('T', file, (uint64_t)length, NULL, 0);                             \
        pthread_mutex_unlock(&lock);                                                               \
        errno = kept;                                                                              \
        return result;                                                                             \
    }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

static int sync_with(fd_fn next, int fd) {
    uint64_t file = tracked(fd);
    if (file == 0) return next(fd);
    int whole = file == FOLDER_ITSELF;
    pthread_mutex_lock(&lock);
    uint64_t sync = ++last_sync;
    record(whole ? 'D' : 'S', file, sync, NULL, 0);
    pthread_mutex_unlock(&lock);
    int result = next(fd), kept = errno;
    if (result == 0) {
        pthread_mutex_lock(&lock);
        record(whole ? 'd' : 's', file, sync, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    errno = kept;
    return result;
}

int fsync(int fd) { return sync_with(REAL(fd_fn, fsync), fd); }
int fdatasync(int fd) { return sync_with(REAL(fd_fn, fdatasync), fd); }

int rename(const char *old, const char *new) {
    int (*next)(const char *, const char *) = REAL(int (*)(const char *, const char *), rename);
    const char *from = below(old), *to = below(new);
    if (from == NULL && to == NULL) return next(old, new);
    if (from == NULL || to == NULL) fail("a rename across the folder's border");
    pthread_mutex_lock(&lock);
    int result = next(old, new), kept = errno;
    if (result == 0) {
        size_t at = place_of(from);
        uint64_t file = at < names_used ? names[at].file : 0;
        forget(from);
        if (file == 0) forget(to); else name(to, file);
        char both[2 * PATH_MAX];
        int length = snprintf(both, sizeof both, "%s%c%s", from, '\0', to);
        record('R', file, 0, both, (size_t)length);
    }
    pthread_mutex_unlock(&lock);
    errno = kept;
    return result;
}

int unlink(const char *path) {
    int (*next)(const char *) = REAL(int (*)(const char *), unlink);
    const char *inside = below(path);
    if (inside == NULL) return next(path);
    pthread_mutex_lock(&lock);
    int result = next(path), kept = errno;
    if (result == 0) {
        forget(inside);
        record('U', 0, 0, inside, strlen(inside));
    }
    pthread_mutex_unlock(&lock);
    errno = kept;
    return result;
}

/* What SQLite and std could use and the test does not understand: the test fails when it is seen. */
static void not_understood(int fd, const char *what) {
    uint64_t file = tracked(fd);
    if (file == 0) return;
    pthread_mutex_lock(&lock);
    record('X', file, 0, what, strlen(what));
    pthread_mutex_unlock(&lock);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    not_understood(fd, "writev");
    return REAL(ssize_t (*)(int, const struct iovec *, int), writev)(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    not_understood(fd, "pwritev");
    return REAL(ssize_t (*)(int, const struct iovec *, int, off_t), pwritev)(fd, parts, count, offset);
}

int posix_fallocate(int fd, off_t offset, off_t length) {
    not_understood(fd, "posix_fallocate");
    return REAL(int (*)(int, off_t, off_t), posix_fallocate)(fd, offset, length);
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
    not_understood(fd, "fallocate");
    return REAL(int (*)(int, int, off_t, off_t), fallocate)(fd, mode, offset, length);
}

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t length, unsigned flags) {
    not_understood(out, "copy_file_range");
    return REAL(ssize_t (*)(int, off64_t *, int, off64_t *, size_t, unsigned), copy_file_range)(
        in, from, out, to, length, flags);
}

/* The shared index of a write-ahead log is mapped and never synced: it is rebuilt after a crash. */
static void mapped(int protection, int flags, int fd) {
    uint64_t file = tracked(fd);
    if (file == 0 || !(protection & PROT_WRITE) || !(flags & MAP_SHARED)) return;
    for (size_t at = 0; at < names_used; at++) {
        size_t length = strlen(names[at].path);
        if (names[at].file == file && length > 4 && strcmp(names[at].path + length - 4, "-shm") == 0)
            return;
    }
    not_understood(fd, "mmap");
}

#define MMAP(function)                                                                             \
    void *function(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {   \
        if (fd >= 0) mapped(protection, flags, fd);                                                \
        return REAL(void *(*)(void *, size_t, int, int, int, off64_t), function)(                  \
            at, length, protection, flags, fd, offset);                                            \
    }
MMAP(mmap)
MMAP(mmap64)
