//! Clients that write mixed commands and keep a log of what they sent and what they were told. A
//! command without an answer is sent again with the same id until there is one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::checker::{Asked, Told};
use crate::common::Client;
use told::{told_alone, told_in_array};

pub(crate) use seeded::Seeded;

mod seeded;
mod told;
mod wishes;

/// How long a client without an answer waits for another server before it asks the same one again.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a client asks for one answer, over all servers.
const PATIENCE: Duration = Duration::from_mins(2);
/// Most reports of a client that it may send again or correct, per customer.
const MAX_REMEMBERED: usize = 8;

/// What a load is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Its seed.
    pub(crate) seed: u64,
    /// How many clients write at once.
    pub(crate) clients: usize,
    /// How many customers they write to, all of them to all.
    pub(crate) customers: u64,
    /// Most commands in one request; 1 sends none as an array.
    pub(crate) most_at_once: u64,
    /// Where the numbers of clients begin.
    pub(crate) first_client: usize,
    /// What they ask for.
    pub(crate) wishes: Wishes,
}

/// What clients ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wishes {
    /// Usage, updates, some creates: keys stay where they are.
    Mixed,
    /// Creates, renames and archiving, all for the same few keys, with some of the rest.
    Keys,
    /// The same, and parents: whoever has one of the keys gets whoever has another of them.
    Families,
}

/// One client: what it will send follows from the seed and its number.
struct Writer {
    plan: Plan,
    client: usize,
    random: Seeded,
    log: Vec<Asked>,
    reports: HashMap<u64, Vec<Value>>,
    /// Ids of customers that the client has made and not archived.
    own: Vec<String>,
    marks: Marks,
}

/// Gives a mark for the moment at which an answer came.
pub(crate) type Marks = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The clients of one run. They write to whatever server is there now.
pub(crate) struct Clients {
    server: watch::Sender<Option<Client>>,
    stop: Arc<AtomicBool>,
    told: Arc<AtomicU64>,
    running: Vec<tokio::task::JoinHandle<Writer>>,
}

impl Clients {
    /// Starts them. They wait for a server.
    pub(crate) fn start(plan: Plan) -> Self {
        Self::start_marking(plan, Arc::new(|| 0))
    }

    /// Starts them; each answer gets a mark of when it came.
    pub(crate) fn start_marking(plan: Plan, marks: Marks) -> Self {
        let (server, _) = watch::channel(None);
        let (stop, told) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let running = (plan.first_client..plan.first_client + plan.clients)
            .map(|client| {
                let seed = plan.seed ^ (u64::try_from(client).expect("few clients") << 32);
                let writer = Writer {
                    plan,
                    client,
                    random: Seeded::new(seed),
                    log: Vec::new(),
                    reports: HashMap::new(),
                    own: Vec::new(),
                    marks: Arc::clone(&marks),
                };
                let server = server.subscribe();
                tokio::spawn(writer.run(server, Arc::clone(&stop), Arc::clone(&told)))
            })
            .collect();
        Self { server, stop, told, running }
    }

    /// Tells them where the server is now, or that there is none.
    pub(crate) fn write_to(&self, server: Option<Client>) {
        self.server.send_replace(server);
    }

    /// Gives how many answers they have got.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// Lets each client finish what it has under way, and gives what all have sent and been told.
    pub(crate) async fn finish(self) -> Vec<Asked> {
        self.stop.store(true, Ordering::Relaxed);
        let mut asked = Vec::new();
        for running in self.running {
            asked.extend(running.await.expect("a client does not panic").log);
        }
        asked
    }

    /// Stops them at once; what is under way stays without an answer.
    pub(crate) async fn abandon(self) -> Vec<Asked> {
        self.server.send_replace(None);
        drop(self.server);
        let mut asked = Vec::new();
        for running in self.running {
            asked.extend(running.await.expect("a client does not panic").log);
        }
        asked
    }
}

impl Writer {
    async fn run(
        mut self,
        mut server: watch::Receiver<Option<Client>>,
        stop: Arc<AtomicBool>,
        told: Arc<AtomicU64>,
    ) -> Self {
        while !stop.load(Ordering::Relaxed) {
            let batch = self.batch();
            let first = self.log.len();
            for command in batch {
                let number = u64::try_from(self.log.len()).expect("a length fits");
                self.log.push(Asked { client: self.client, number, command, told: None, mark: 0 });
            }
            let began = Instant::now();
            while self.log[first..].iter().any(|asked| asked.told.is_none()) {
                assert!(began.elapsed() < PATIENCE, "no answer to {:?}", self.log.last());
                let Ok(there) = server.wait_for(Option::is_some).await.map(|there| there.clone())
                else {
                    return self;
                };
                let before = self.log[first..].iter().filter(|asked| asked.told.is_some()).count();
                self.send(there.as_ref().expect("waited for it"), first).await;
                let after = self.log[first..].iter().filter(|asked| asked.told.is_some()).count();
                told.fetch_add(u64::try_from(after - before).expect("fits"), Ordering::Relaxed);
                if after == before {
                    // No error: either another server is there or the pause is over.
                    let _ = tokio::time::timeout(PAUSE, server.changed()).await;
                }
            }
            self.learn(first);
        }
        self
    }

    /// Sends the commands from `first` on, and keeps what it is told.
    async fn send(&mut self, server: &Client, first: usize) {
        let commands: Vec<&Value> = self.log[first..].iter().map(|asked| &asked.command).collect();
        let body = if let [single] = commands[..] { single.clone() } else { json!(commands) };
        let request = server.request(http::Method::POST, "/api/v1/commands").json(&body);
        let Ok(reply) = server.try_send(request).await else { return };
        let answers = if commands.len() == 1 {
            vec![told_alone(&reply)]
        } else if reply.status == 200 {
            reply
                .json()
                .as_array()
                .expect("an array of answers")
                .iter()
                .map(told_in_array)
                .collect()
        } else {
            assert!(reply.status >= 500, "{reply}");
            return;
        };
        assert_eq!(answers.len(), self.log.len() - first, "one answer for each command: {reply}");
        let mark = (self.marks)();
        for (asked, told) in self.log[first..].iter_mut().zip(answers) {
            if let (Some(before), Some(now)) = (&asked.told, &told) {
                assert_eq!(before, now, "another answer to {}", asked.command);
            }
            if asked.told.is_none() {
                (asked.told, asked.mark) = (told, mark);
            }
        }
    }

    /// Keeps in mind which customers are there, from what was told.
    fn learn(&mut self, first: usize) {
        for Asked { command, told, .. } in &self.log[first..] {
            let Some(Told { outcome, customer_id: Some(id), .. }) = told else { continue };
            match command["type"].as_str() {
                Some("CreateCustomer") if outcome == "accepted" => self.own.push(id.clone()),
                Some("ArchiveCustomer") => self.own.retain(|own| own != id),
                _ => {}
            }
        }
    }
}
