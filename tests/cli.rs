//! The command line from outside: exit codes, what goes where, keys beside a running server.

mod common;

use common::{run, tallybook};

#[test]
fn an_unknown_command_is_a_usage_error() {
    let ran = run(tallybook().arg("fly"));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("fly"), "{}", ran.stderr);
}

#[test]
fn completions_are_printed_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(tallybook().args(["completions", shell]));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(ran.stdout.contains("tallybook"), "{shell}");
    }
}
