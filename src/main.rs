//! The binary: hands over to the command line.

use std::process::ExitCode;

/// Commands are made on one thread and dropped on another: this allocator takes that better.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tallybook::cli::main()
}
