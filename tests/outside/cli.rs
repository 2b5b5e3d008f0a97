//! The command line from outside: exit codes, what goes where, settings, keys.

use std::path::Path;

use crate::common::{Ran, make_key, run, tallybook};
use serde_json::Value;

fn keys(data: &Path, arguments: &[&str]) -> Ran {
    run(tallybook().arg("keys").args(arguments).arg("--data").arg(data))
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

#[test]
fn a_command_line_that_makes_no_sense_exits_with_2_and_prints_no_data() {
    for arguments in [
        &["fly"][..],
        &["keys", "create", "--environment", "dead"],
        &["keys", "create", "--scopes", "read,root"],
        &["customers", "show", "acme", "--as-of", "yesterday"],
        &["customers", "show", "acme", "--as-of", "2026-01-01T00:00:00Z", "--version", "1"],
        &["customers", "show", "acme", "--output", "xml"],
        &["customers", "show", "acme", "--url", "ftp://127.0.0.1", "--key", "k"],
        &["customers", "show", "..", "--key", "k"],
        &["usage", "show", "acme", "--kind", "week"],
        &["send", "-", "--batch", "0"],
        &["completions", "csh"],
        &["--log", "tallybook=loud", "completions", "bash"],
    ] {
        let ran = run(tallybook().args(arguments));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_client_without_a_key_is_told_where_to_get_one() {
    let ran = run(tallybook().args(["customers", "list"]));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("TALLYBOOK_KEY"), "{}", ran.stderr);
    assert!(ran.stderr.contains("keys create"), "{}", ran.stderr);
}

#[test]
fn help_and_version_are_data() {
    for (argument, told) in [("--help", "Usage: tallybook"), ("--version", "tallybook 0.1.0")] {
        let ran = run(tallybook().arg(argument));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        assert!(ran.stdout.contains(told), "{}", ran.stdout);
    }
}

#[test]
fn completions_are_printed_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(tallybook().args(["completions", shell]));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(ran.stdout.contains("tallybook"), "{shell}");
    }
}

#[test]
fn schemas_are_printed_all_or_one() {
    let all = run(tallybook().arg("schemas"));
    assert_eq!((all.code, all.stderr.as_str()), (Some(0), ""));
    let all: Value = serde_json::from_str(&all.stdout).expect("it prints JSON");
    for name in ["BudgetSet.v1", "UpdateCustomer", "Customer", "DecisionRecord.v1"] {
        let one = run(tallybook().args(["schemas", name]));
        let one: Value = serde_json::from_str(&one.stdout).expect("it prints JSON");
        assert_eq!(
            one.get("$schema"),
            Some(&"https://json-schema.org/draft/2020-12/schema".into())
        );
        assert_eq!(all.get(name), Some(&one), "{name}");
    }
    let none = run(tallybook().args(["schemas", "Nonsense.v1"]));
    assert_eq!((none.code, none.stdout.as_str()), (Some(3), ""));
}

#[test]
fn what_does_not_answer_exits_with_6() {
    // Nothing listens on a port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let url = format!("http://{}", free.expect("a port is free"));
    let ran = run(tallybook().args(["customers", "list", "--key", "k", "--url", &url]));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(6), ""));
    assert!(ran.stderr.contains(&url), "{}", ran.stderr);
}

#[test]
fn files_that_are_not_there_exit_with_3() {
    for arguments in [
        &["send", "/no/such/file", "--key", "k"][..],
        &["customers", "list", "--key-file", "/no/such/file"],
        &["keys", "list", "--data", "/no/such/folder"],
        &["keys", "revoke", "abc", "--data", "/no/such/folder"],
    ] {
        let ran = run(tallybook().args(arguments));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{arguments:?}");
    }
}

#[test]
fn a_flag_beats_the_environment_and_that_beats_the_file() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("tallybook.toml");
    std::fs::write(&file, "tenant = 'file'\n[keys.create]\nrate = 7\n").expect("it is written");
    let data = folder.path().join("data");
    let create = |environment: Option<&str>, flags: &[&str]| {
        let mut command = tallybook();
        // The file is found in the folder where the command runs.
        command.current_dir(folder.path()).args(["keys", "create", "--data"]).arg(&data);
        command.envs(environment.map(|tenant| ("TALLYBOOK_TENANT", tenant))).args(flags);
        assert_eq!(run(&mut command).code, Some(0));
    };
    create(None, &[]);
    create(Some("environment"), &[]);
    create(Some("environment"), &["--tenant", "flag"]);
    let listed = lines(&keys(&data, &["list", "--output", "jsonl"]).stdout);
    let tenants: Vec<_> = listed.iter().map(|key| key["tenant"].as_str()).collect();
    assert_eq!(tenants, [Some("file"), Some("environment"), Some("flag")]);
    let rates: Vec<_> = listed.iter().map(|key| key["rate"].as_u64()).collect();
    assert_eq!(rates, [Some(7); 3]);
}

#[test]
fn a_settings_file_with_an_unknown_key_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("own.toml");
    std::fs::write(&file, "lissten = '127.0.0.1:1'").expect("it is written");
    let ran = run(tallybook().args(["keys", "list", "--config"]).arg(&file));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("`lissten`"), "{}", ran.stderr);
    let ran = run(tallybook().args(["keys", "list", "--config", "/no/such/file.toml"]));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let made = make_key(folder.path(), "acme", "test", "read,usage");
    assert!(made.key.starts_with(&format!("tb_test_{}_", made.id)), "{}", made.key);
    let listed = keys(folder.path(), &["list", "--output", "json"]);
    assert_eq!((listed.code, listed.stderr.as_str()), (Some(0), ""));
    let listed: Value = serde_json::from_str(&listed.stdout).expect("it prints JSON");
    let mut key = listed[0].clone();
    let created_at = key["created_at"].take();
    assert!(created_at.as_str().is_some_and(|time| time.ends_with('Z')), "{created_at}");
    assert_eq!(
        key,
        serde_json::json!({
            "id": made.id, "tenant": "acme", "environment": "test", "scopes": "read,usage",
            "rate": 0, "origin": "issued", "created_at": null, "rotated_at": null,
            "former_until": null, "revoked_at": null,
        })
    );
    assert!(!listed.to_string().contains(&made.key), "a list shows no secret");
    let revoked = keys(folder.path(), &["revoke", &made.id, "--output", "json"]);
    assert_eq!(revoked.code, Some(0));
    assert!(revoked.stdout.contains(r#""revoked_at":"2"#), "{}", revoked.stdout);
    let unknown = keys(folder.path(), &["revoke", "abc"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(3), ""));
}

#[test]
fn keys_are_listed_in_each_format() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let made = make_key(folder.path(), "acme", "live", "read");
    let table = keys(folder.path(), &["list"]).stdout;
    let titles: Vec<_> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(
        titles.join(" "),
        "ID TENANT ENVIRONMENT SCOPES RATE ORIGIN CREATED_AT ROTATED_AT FORMER_UNTIL REVOKED_AT"
    );
    let csv = keys(folder.path(), &["list", "--output", "csv"]).stdout;
    let mut rows = csv.split("\r\n");
    let titles =
        "id,tenant,environment,scopes,rate,origin,created_at,rotated_at,former_until,revoked_at";
    assert_eq!(rows.next(), Some(titles));
    let row = rows.next().unwrap_or_default();
    assert!(row.starts_with(&format!("{},acme,live,read,0,issued,", made.id)), "{row}");
    assert_eq!((rows.next(), rows.next()), (Some(""), None));
}
