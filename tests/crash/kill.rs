//! Kill -9 at random moments while clients write: nothing acknowledged is lost, nothing is doubled,
//! and what is seen after the last restart is what the events add up to.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::checker::views::Answers;
use crate::checker::{check, stored};
use crate::common::{ALL_SCOPES, Client, Process, TENANT, make_key, tallybook, until_async};
use crate::load::{Clients, Plan, Seeded, Wishes};

/// How often the server is killed when nothing else is said.
const KILLS: u64 = 300;
/// The same while keys change hands.
const KILLS_OF_KEYS: u64 = 60;
/// The same while customers get parents.
const KILLS_OF_FAMILIES: u64 = 60;
/// A journal takes so many kills, then another one begins.
const KILLS_OF_ONE_JOURNAL: u64 = 150;
/// Longest time between a start (or being ready) and the next kill.
const MOST_MILLIS: u64 = 200;
/// Most items of a page.
const PAGE: u64 = 200;

/// Starts the server; it may listen later, or never.
pub(crate) fn spawn(data: &Path) -> Process {
    let mut command = tallybook();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    Process::spawn(command)
}

/// Waits until a server listens, and gives a client of it.
pub(crate) async fn ready(process: &mut Process, key: &str) -> Client {
    let url = until_async("the line `listening on`", || {
        assert_eq!(process.ended(), None, "serve ended: {}", process.stderr());
        std::future::ready(process.listening_on())
    })
    .await;
    Client::new(&url, Some(key))
}

/// Asks the native API for all customers and their ledgers.
pub(crate) async fn ask_all(client: &Client) -> Answers {
    let mut answers = Answers::default();
    for document in pages(client, "/api/v1/customers").await {
        let id = document["id"].as_str().expect("a customer has an id").to_owned();
        let usage = pages(client, &format!("/api/v1/customers/{id}/usage")).await;
        answers.usage.insert(id.clone(), usage);
        answers.customers.insert(id, document);
    }
    answers
}

async fn pages(client: &Client, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client.get(&format!("{path}?limit={PAGE}{cursor}")).await.expect(200);
        items.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

/// One journal, killed so many times.
async fn campaign(plan: Plan, kills: u64) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path();
    let key = make_key(data, TENANT, "live", ALL_SCOPES).key;
    let clients = Clients::start(plan);
    let mut random = Seeded::new(plan.seed);
    let began = Instant::now();
    for _ in 0..kills {
        let mut process = spawn(data);
        // One in eight while it starts: in the middle of recovery, restore or catching up.
        if !random.chance(12) {
            clients.write_to(Some(ready(&mut process, &key).await));
        }
        let moment = Duration::from_micros(random.below(MOST_MILLIS * 1_000));
        tokio::time::sleep(moment).await;
        process.kill();
        clients.write_to(None);
    }
    let killing = began.elapsed();
    let mut process = spawn(data);
    let client = ready(&mut process, &key).await;
    clients.write_to(Some(client.clone()));
    let asked = clients.finish().await;
    // What was held when a server was killed is asked again by the next one.
    until_async("answers to all that was held", || {
        let held = check(&stored::read(data), &asked).held;
        std::future::ready(held.is_empty().then_some(()))
    })
    .await;
    let answers = ask_all(&client).await;
    process.signal("TERM");
    assert!(process.wait().success(), "{}", process.stderr());

    let mut checked = check(&stored::read(data), &asked);
    checked.compare_answers(&answers);
    checked.compare_database(data);
    checked.assert_sound();
    assert_eq!(checked.held, Vec::<String>::new());
    let counts = checked.seen;
    assert_eq!(counts.acknowledged, asked.len(), "in the end every command has its answer");
    eprintln!(
        "{:?}, seed {}: {kills} kills in {killing:.1?}; {counts}; {:.1?} in all",
        plan.wishes,
        plan.seed,
        began.elapsed()
    );
    assert!(counts.acknowledged as u64 > 4 * kills, "clients wrote between the kills: {counts}");
    assert!(plan.wishes == Wishes::Mixed || counts.settled as u64 > kills, "keys moved: {counts}");
    assert!(plan.wishes != Wishes::Families || counts.moves as u64 > kills, "{counts}");
}

async fn campaigns(plan: Plan, mut kills: u64) {
    let mut plan = plan;
    while kills > 0 {
        let of_one = kills.min(KILLS_OF_ONE_JOURNAL);
        campaign(plan, of_one).await;
        kills -= of_one;
        plan.seed += 1;
    }
}

/// Gives how often to kill: as the long campaign asks, or so often.
fn kills(otherwise: u64) -> u64 {
    let asked = std::env::var_os("TALLYBOOK_KILLS").and_then(|kills| kills.into_string().ok());
    asked.map_or(otherwise, |kills| kills.parse().expect("a number of kills"))
}

/// `TALLYBOOK_KILLS=5000` makes it the long campaign.
#[tokio::test]
async fn no_kill_loses_or_doubles_a_command() {
    let plan = Plan {
        seed: 20_261_124,
        clients: 16,
        customers: 40,
        most_at_once: 8,
        first_client: 0,
        wishes: Wishes::Mixed,
    };
    campaigns(plan, kills(KILLS)).await;
}

/// A change of a key is decided in several steps, on several partitions; kills fall between them.
#[tokio::test]
async fn no_kill_leaves_a_key_with_two_customers_or_none() {
    let plan = Plan {
        seed: 7_261_124,
        clients: 16,
        customers: 48,
        most_at_once: 3,
        first_client: 0,
        wishes: Wishes::Keys,
    };
    campaigns(plan, kills(KILLS_OF_KEYS)).await;
}

/// A change of a parent is decided in three places; kills fall between them, while the same customers
/// get other keys, come to their end and are made anew.
#[tokio::test]
async fn no_kill_leaves_a_parent_with_a_parent() {
    let plan = Plan {
        seed: 8_261_124,
        clients: 16,
        customers: 24,
        most_at_once: 3,
        first_client: 0,
        wishes: Wishes::Families,
    };
    campaigns(plan, kills(KILLS_OF_FAMILIES)).await;
}
