//! Clients that write mixed commands and keep a log of what they sent and what they were told. A
//! command without an answer is sent again with the same id until there is one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::checker::{Asked, Told};
use crate::common::{Client, Reply};

/// How long a client without an answer waits for another server before it asks the same one again.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a client asks for one answer, over all servers.
const PATIENCE: Duration = Duration::from_mins(2);
/// Most reports of a client that it may send again or correct, per customer.
const MAX_REMEMBERED: usize = 8;

/// Pseudo-random numbers from a seed (SplitMix64): the same on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Seeded(u64);

impl Seeded {
    /// Begins at a seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Gives the next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Gives a number below a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Says yes so often in a hundred.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

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

    /// Makes the next request: one command, or some, often to one customer.
    fn batch(&mut self) -> Vec<Value> {
        let size =
            if self.random.chance(60) { 1 } else { 1 + self.random.below(self.plan.most_at_once) };
        let favourite = self.random.below(self.plan.customers);
        (0..size)
            .map(|_| {
                let other = self.random.below(self.plan.customers);
                let customer = if self.random.chance(70) { favourite } else { other };
                self.command(customer)
            })
            .collect()
    }

    fn command(&mut self, customer: u64) -> Value {
        let id = self.random.next();
        let mut command = json!({
            "command_id": format!("{:08x}-0000-4000-8000-{:012x}", self.client, id >> 16),
            "customer": {"key": format!("c-{customer}")},
        });
        if self.plan.wishes == Wishes::Keys && self.random.chance(70) {
            self.change_of_key(&mut command, customer, id);
            return command;
        }
        match self.random.below(100) {
            0..55 => {
                command["type"] = json!("RecordUsage");
                command["reports"] = self.reports(customer);
            }
            55..95 => {
                command["type"] = json!("UpdateCustomer");
                command["patch"] = self.patch(id);
            }
            _ => {
                command["type"] = json!("CreateCustomer");
                command["patch"] = self.patch(id);
            }
        }
        if self.random.chance(3) {
            command["expected_version"] = json!(self.random.below(20));
        }
        command
    }

    /// A birth under a key, or a rename to it, or the end of a customer.
    fn change_of_key(&mut self, command: &mut Value, key: u64, id: u64) {
        let own = u64::try_from(self.own.len()).expect("few customers");
        if own == 0 || self.random.chance(15) {
            command["type"] = json!("CreateCustomer");
            command["patch"] = json!({"profile": {"name": format!("{} {id:x}", self.client)}});
            return;
        }
        let at = usize::try_from(self.random.below(own)).expect("few customers");
        command["customer"] = json!({"id": self.own[at]});
        if self.random.chance(15) {
            command["type"] = json!("ArchiveCustomer");
        } else {
            command["type"] = json!("UpdateCustomer");
            command["patch"] = self.patch(id);
            command["patch"]["key"] = json!(format!("c-{key}"));
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

    fn reports(&mut self, customer: u64) -> Value {
        let reports = (0..=self.random.below(3)).map(|_| self.report(customer)).collect();
        Value::Array(reports)
    }

    /// A new report, or one that was sent before, or a correction of one.
    fn report(&mut self, customer: u64) -> Value {
        let known = self.reports.get(&customer).map_or(0, Vec::len);
        let old = (known > 0).then(|| {
            let at = self.random.below(u64::try_from(known).expect("few reports"));
            self.reports[&customer][usize::try_from(at).expect("few reports")].clone()
        });
        match (self.random.below(100), old) {
            (0..8, Some(again)) => return again,
            (8..12, Some(old)) => {
                let mut correction = self.fresh_report();
                correction["corrects"] = old["report_id"].clone();
                correction["occurred_at"] = old["occurred_at"].clone();
                return correction;
            }
            _ => {}
        }
        let report = self.fresh_report();
        let reports = self.reports.entry(customer).or_default();
        reports.push(report.clone());
        if reports.len() > MAX_REMEMBERED {
            reports.remove(0);
        }
        report
    }

    fn fresh_report(&mut self) -> Value {
        let id = self.random.next();
        let (month, day) = (9 + self.random.below(2), 1 + self.random.below(28));
        let (hour, second) = (self.random.below(24), self.random.below(60));
        let cents = 1 + self.random.below(9_999);
        json!({
            "report_id": format!("{:x}-{id:x}", self.client),
            "occurred_at": format!("2026-{month:02}-{day:02}T{hour:02}:00:{second:02}Z"),
            "meter": if self.random.chance(50) { "tokens" } else { "images" },
            "quantity": (1 + self.random.below(1_000)).to_string(),
            // The last digit is never 0: the shortest spelling.
            "cost": format!("{}.{:02}1", cents / 100, cents % 100),
        })
    }

    fn patch(&mut self, id: u64) -> Value {
        let mut patch = Map::new();
        if self.random.chance(70) {
            patch.insert("profile".to_owned(), self.profile(id));
        }
        if self.random.chance(40) {
            let budget = match self.random.below(3) {
                0 => json!({"period_budget": null}),
                1 => json!({"period_budget": (1 + self.random.below(5_000)).to_string()}),
                _ => json!({"total_budget": (1 + self.random.below(50_000)).to_string(),
                    "markup_percentage": self.random.below(30).to_string()}),
            };
            patch.insert("budget".to_owned(), budget);
        }
        if self.random.chance(30) {
            let status = if self.random.chance(50) { "active" } else { "suspended" };
            patch.insert("contract".to_owned(), json!({"status": status}));
        }
        Value::Object(patch)
    }

    fn profile(&mut self, id: u64) -> Value {
        let mut profile = json!({"name": format!("{} {id:x}", self.client)});
        if self.random.chance(50) {
            let name = format!("m{}", self.random.below(6));
            let value = if self.random.chance(25) { Value::Null } else { json!(id.to_string()) };
            profile["metadata"] = json!({name: value});
        }
        if self.random.chance(20) {
            profile["email"] = json!(format!("c{id:x}@example.com"));
        }
        profile
    }
}

/// Reads the answer to a single command; nothing when it is not settled.
fn told_alone(reply: &Reply) -> Option<Told> {
    match reply.status {
        200..300 => told_in_array(&reply.json()),
        500.. => None,
        _ => {
            let problem = reply.json();
            let refused = [
                "unknown_customer",
                "key_taken",
                "version_mismatch",
                "unknown_report",
                "customer_archived",
                "change_in_progress",
            ];
            let code = problem["code"].as_str().expect("a problem has a code").to_owned();
            assert!(refused.contains(&&*code), "{reply}");
            Some(Told {
                outcome: "rejected".to_owned(),
                position: position(&problem["position"]),
                code: Some(code),
                ..Told::default()
            })
        }
    }
}

/// Reads one answer of an array; nothing when it is not settled.
fn told_in_array(answer: &Value) -> Option<Told> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(Told {
        outcome: text(&answer["outcome"])?,
        position: position(&answer["position"]),
        customer_id: text(&answer["customer_id"]),
        version: answer["version"].as_u64(),
        events: Some(answer["events"].clone()),
        code: text(&answer["rejection"]["code"]),
    })
}

fn position(position: &Value) -> Option<(u64, u64)> {
    Some((position["partition"].as_u64()?, position["seq"].as_u64()?))
}
