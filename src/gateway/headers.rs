//! Headers of answers that more than one API has, as the documents describe them.

/// A header of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it says, in a sentence.
    pub(crate) says: &'static str,
    /// What it looks like: a regular expression.
    pub(crate) pattern: &'static str,
    /// Whether every answer of its kind has it.
    pub(crate) always: bool,
}

impl Header {
    /// Gives the header as one that some answers of a kind have and others have not.
    pub(crate) const fn at_times(self) -> Self {
        Self { always: false, ..self }
    }
}

const fn always(name: &'static str, pattern: &'static str, says: &'static str) -> Header {
    Header { name, says, pattern, always: true }
}

/// Entity tag of a customer's version.
pub(crate) const ETAG: Header =
    always("ETag", "^\"v[0-9]+\"$", "Version of the customer, for the header If-Match.");
/// Address of what was made.
pub(crate) const LOCATION: Header = always("Location", "^/.+$", "Address of what was made.");
/// Address of what will be there.
pub(crate) const LATER: Header =
    always("Location", "^/.+$", "Where to ask what became of the command.").at_times();
/// What was done as the caller prefers.
pub(crate) const PREFERENCE_APPLIED: Header =
    always("Preference-Applied", "^respond-async$", "There when nobody waited.").at_times();
/// Address of the next page.
pub(crate) const LINK: Header =
    always("Link", "^<.+>; rel=\"next\"$", "Address of the next page, when there is one.")
        .at_times();
/// When to come again.
pub(crate) const RETRY_AFTER: Header =
    always("Retry-After", "^[0-9]+$", "Seconds after which to ask again.");
/// Methods that a path takes.
pub(crate) const ALLOW: Header =
    always("Allow", "^[A-Z]+(,[A-Z]+)*$", "Methods that the path takes, where they are known.")
        .at_times();
/// How to show a key.
pub(crate) const WWW_AUTHENTICATE: Header =
    always("WWW-Authenticate", "^.+$", "How to show a key.").at_times();
/// That the answer was given before.
pub(crate) const REPLAYED: Header =
    always("Idempotent-Replayed", "^true$", "There when the answer was given before.").at_times();
/// What a key has left.
pub(crate) const RATE_LIMIT: Header = always(
    "RateLimit",
    "^\"key\";r=[0-9]+;t=[0-9]+$",
    "What the key has left. Not there when the key has no limit.",
)
.at_times();
/// What a key may send.
pub(crate) const RATE_LIMIT_POLICY: Header = always(
    "RateLimit-Policy",
    "^\"key\";q=[0-9]+;w=[0-9]+$",
    "How many requests the key may send. Not there when the key has no limit.",
)
.at_times();
/// Entity tag of a document.
pub(crate) const DOCUMENT_ETAG: Header =
    always("ETag", "^\"[A-Za-z0-9_-]+\"$", "Changes when the document does.");
