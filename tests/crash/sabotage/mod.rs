//! Builds that are broken on purpose: each skips, doubles or re-orders one command in ten thousand, at
//! another port, or breaks a rule of parents, and the checker must find out. Each runs as a process of
//! its own: this test binary, started again as a server.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::checker::{Asked, Checked, Fault, check, stored};
use crate::common::{ALL_SCOPES, Process, TENANT, make_key, until_async_within};
use crate::kill::{ask_all, ready};
use crate::load::{Clients, Plan, Wishes};

mod server;

/// So many commands are acknowledged in a run in which nothing is broken.
const ACKNOWLEDGED: u64 = 25_000;
/// So often something is broken in a run at least; each of it must be found out.
const BREAKS: usize = 3;
/// How long clients may write until that is so.
const PATIENCE: Duration = Duration::from_mins(5);
/// What the server says on stderr when it breaks something, before the id of the command.
const BROKE: &str = "broke ";
/// The variable that tells the test binary to be a server: what is broken, and the data folder.
const BROKEN: &str = "CRASH_TEST_BROKEN";
const DATA: &str = "CRASH_TEST_DATA";

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// Nothing: the same wiring must be found sound.
    Nothing,
    /// The inbox answers a command that it never handed over.
    InboxSkips,
    /// The inbox hands a command over twice, as if it were two.
    InboxDoubles,
    /// A lane swaps two commands of one request to one customer.
    LaneSwaps,
    /// A lane hands a command over twice, as the same: the processor decides it once.
    LaneDoubles,
    /// The rules accept a command and do nothing.
    RulesSkip,
    /// The rules let an event happen twice.
    RulesDouble,
    /// The rules give a place below a parent that they should refuse.
    RulesNest,
}

const ALL: [Broken; 8] = [
    Broken::Nothing,
    Broken::InboxSkips,
    Broken::InboxDoubles,
    Broken::LaneSwaps,
    Broken::LaneDoubles,
    Broken::RulesSkip,
    Broken::RulesDouble,
    Broken::RulesNest,
];

/// Is the server of the other tests, when it is started as such.
#[test]
fn a_server_that_is_broken_on_purpose() {
    let Some(broken) = std::env::var_os(BROKEN) else { return };
    let broken = ALL.into_iter().find(|known| *broken == *format!("{known:?}"));
    let data = std::env::var_os(DATA).expect("a data folder");
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(server::serve(broken.expect("a known way to be broken"), Path::new(&data)));
}

/// A run against a server that is broken in a way.
struct Run {
    /// What clients sent and were told.
    asked: Vec<Asked>,
    /// Commands that were not treated as they should be.
    broken: Vec<String>,
    /// What the checker says.
    checked: Checked,
}

/// Lets clients write until enough is broken, or acknowledged, and checks.
async fn run(broken: Broken) -> Run {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path();
    let key = make_key(data, TENANT, "live", ALL_SCOPES).key;
    let mut command = Command::new(std::env::current_exe().expect("this test has a binary"));
    command
        .args(["sabotage::a_server_that_is_broken_on_purpose", "--exact", "--nocapture"])
        .env(BROKEN, format!("{broken:?}"))
        .env(DATA, data);
    let mut process = Process::spawn(command);
    let seed = 31 + broken as u64;
    let (customers, most_at_once, wishes) = match broken {
        Broken::RulesNest => (24, 3, Wishes::Families),
        Broken::Nothing
        | Broken::InboxSkips
        | Broken::InboxDoubles
        | Broken::LaneSwaps
        | Broken::LaneDoubles
        | Broken::RulesSkip
        | Broken::RulesDouble => (40, 60, Wishes::Mixed),
    };
    let plan = Plan { seed, clients: 16, customers, most_at_once, first_client: 0, wishes };
    let clients = Clients::start(plan);
    let client = ready(&mut process, &key).await;
    clients.write_to(Some(client.clone()));
    until_async_within(PATIENCE, "commands that are not treated as they should be", || {
        assert_eq!(process.ended(), None, "the server ended: {}", process.stderr());
        let enough = if broken == Broken::Nothing {
            clients.told() >= ACKNOWLEDGED
        } else {
            said(&process).len() >= BREAKS
        };
        std::future::ready(enough.then_some(()))
    })
    .await;
    let asked = clients.finish().await;
    let answers = ask_all(&client).await;
    process.signal("TERM");
    assert!(process.wait().success(), "{}", process.stderr());
    let mut checked = check(&stored::read(data), &asked);
    checked.compare_answers(&answers);
    checked.compare_database(data);
    Run { asked, broken: said(&process), checked }
}

/// Gives the commands that the server says it did not treat as it should.
fn said(process: &Process) -> Vec<String> {
    process
        .stderr()
        .lines()
        .filter_map(|line| line.strip_prefix(BROKE))
        .map(str::to_owned)
        .collect()
}

/// A fault, and whether it comes of what was done to a command; that one is there unless it is made up.
type Names = fn(&Fault, &str, Option<&Asked>) -> bool;

/// Runs until enough is broken: the checker must find each of it.
async fn is_found_out(broken: Broken, names: Names) {
    let run = run(broken).await;
    let faults = &run.checked.faults;
    for id in &run.broken {
        let asked = run.asked.iter().find(|asked| asked.id() == id);
        assert!(
            faults.iter().any(|fault| names(fault, id, asked)),
            "{broken:?} of {id} was not found: {asked:#?}\n{faults:#?}"
        );
    }
}

#[tokio::test]
async fn the_same_wiring_without_anything_broken_is_sound() {
    run(Broken::Nothing).await.checked.assert_sound();
}

#[tokio::test]
async fn an_inbox_that_skips_a_command_is_found_out() {
    is_found_out(
        Broken::InboxSkips,
        |fault, id, _| matches!(fault, Fault::Lost { command_id } if command_id == id),
    )
    .await;
}

#[tokio::test]
async fn an_inbox_that_doubles_a_command_is_found_out() {
    is_found_out(
        Broken::InboxDoubles,
        |fault, id, _| matches!(fault, Fault::Unasked { command_id } if command_id == id),
    )
    .await;
}

#[tokio::test]
async fn a_lane_that_swaps_two_commands_is_found_out() {
    is_found_out(Broken::LaneSwaps, |fault, _, asked| {
        let sent = asked.map(|asked| (asked.client, asked.number));
        matches!(fault, Fault::Reordered { client, later, .. } if sent == Some((*client, *later)))
    })
    .await;
}

#[tokio::test]
async fn a_lane_that_doubles_a_command_does_no_harm() {
    run(Broken::LaneDoubles).await.checked.assert_sound();
}

#[tokio::test]
async fn rules_that_skip_a_command_are_found_out() {
    is_found_out(
        Broken::RulesSkip,
        |fault, id, _| matches!(fault, Fault::NoEffect { command_id, .. } if command_id == id),
    )
    .await;
}

#[tokio::test]
async fn rules_that_double_an_event_are_found_out() {
    is_found_out(Broken::RulesDouble, |fault, _, asked| {
        let Some(Asked { command, told: Some(told), .. }) = asked else { return false };
        let reports = command["reports"].as_array().map_or(&[][..], Vec::as_slice);
        let is_of = |id: &str| told.customer_id.as_deref() == Some(id);
        let reports_it = |id: &str| reports.iter().any(|report| report["report_id"] == *id);
        let is_at = |seq: u64| told.position.is_some_and(|(_, at)| at == seq);
        matches!(fault, Fault::ReportDoubled { customer_id, report_id }
            if is_of(customer_id) && reports_it(report_id))
            || matches!(fault, Fault::OtherPast { customer_id, seq, .. }
                if is_of(customer_id) && is_at(*seq))
    })
    .await;
}

#[tokio::test]
async fn rules_that_give_a_child_children_are_found_out() {
    is_found_out(Broken::RulesNest, |fault, _, _| matches!(fault, Fault::Nested { .. })).await;
}
