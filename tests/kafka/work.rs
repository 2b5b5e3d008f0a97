//! Clients that write to servers which share one Kafka.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

use crate::common::Client;

/// Pause before a command that got no answer is sent again.
const AGAIN: Duration = Duration::from_millis(20);
/// Customers that are written to.
const CUSTOMERS: u64 = 24;

/// Where clients write to. A client that gets no answer asks the next one, with the same command id.
pub(crate) type Servers = Arc<RwLock<Vec<Client>>>;

/// What one client sent and was told.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// The command's id.
    pub(crate) command_id: String,
    /// The answer.
    pub(crate) answer: Value,
}

/// Clients that write until they are stopped.
pub(crate) struct Writers {
    stop: Arc<AtomicBool>,
    told: Arc<AtomicU64>,
    running: Vec<JoinHandle<Vec<Told>>>,
}

impl Writers {
    /// Starts so many; each rests for a while between two commands.
    pub(crate) fn start(count: u64, servers: &Servers, rest: Duration) -> Self {
        let (stop, told) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let write = |number| {
            let (servers, stop, told) = (Arc::clone(servers), Arc::clone(&stop), Arc::clone(&told));
            tokio::spawn(write(number, servers, stop, told, rest))
        };
        let running = (0..count).map(write).collect();
        Self { stop, told, running }
    }

    /// Gives the number of commands that were answered so far.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// Lets each client finish what it has under way.
    pub(crate) async fn finish(self) -> Vec<Told> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for running in self.running {
            all.extend(running.await.expect("a client does not panic"));
        }
        all
    }
}

async fn write(
    number: u64,
    servers: Servers,
    stop: Arc<AtomicBool>,
    told: Arc<AtomicU64>,
    rest: Duration,
) -> Vec<Told> {
    let mut all = Vec::new();
    let mut turn = number;
    for sequence in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let command_id = uuid::Uuid::new_v5(
            &uuid::Uuid::NAMESPACE_OID,
            format!("{}-{number}-{sequence}", std::process::id()).as_bytes(),
        );
        let command = command(command_id, number, sequence);
        // The same command until it is answered.
        loop {
            let client = {
                let servers = servers.read().await;
                usize::try_from(turn)
                    .ok()
                    .and_then(|turn| servers.get(turn % servers.len()).cloned())
            };
            turn += 1;
            let client = client.expect("there is a server");
            let request = client.request(http::Method::POST, "/api/v1/commands").json(&command);
            if let Ok(reply) = client.try_send(request).await
                && reply.status < 500
            {
                told.fetch_add(1, Ordering::Relaxed);
                let (command_id, answer) = (command_id.to_string(), reply.json());
                all.push(Told { command_id, answer });
                break;
            }
            if stop.load(Ordering::Relaxed) {
                // Not answered, so nothing is known of it.
                break;
            }
            tokio::time::sleep(AGAIN).await;
        }
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
    }
    all
}

/// A report of usage, which creates its customer, or a rename there and back.
fn command(command_id: uuid::Uuid, number: u64, sequence: u64) -> Value {
    let customer = (number * 7 + sequence) % CUSTOMERS;
    if sequence % 10 == 9 {
        let name = format!("name-{number}-{sequence}");
        return json!({"command_id": command_id, "type": "UpdateCustomer",
            "customer": {"key": format!("c-{customer}")}, "patch": {"profile": {"name": name}}});
    }
    json!({"command_id": command_id, "type": "RecordUsage",
        "customer": {"key": format!("c-{customer}")},
        "reports": [{"report_id": format!("r-{number}-{sequence}"),
            "occurred_at": "2026-03-01T00:00:00Z", "meter": "tokens", "quantity": "1", "cost": "0.01"}]})
}
