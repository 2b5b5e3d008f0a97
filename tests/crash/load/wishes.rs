//! What clients ask for: the next request of one, from its seed and from what it was told.

use serde_json::{Map, Value, json};

use super::{MAX_REMEMBERED, Wishes, Writer};

impl Writer {
    /// Makes the next request: one command, or some, often to one customer.
    pub(super) fn batch(&mut self) -> Vec<Value> {
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
        match self.plan.wishes {
            Wishes::Keys if self.random.chance(70) => {
                self.change_of_key(&mut command, customer, id);
                return command;
            }
            Wishes::Families if self.random.chance(80) => {
                if self.random.chance(35) {
                    self.change_of_key(&mut command, customer, id);
                } else {
                    self.change_of_parent(&mut command, id);
                }
                return command;
            }
            Wishes::Mixed | Wishes::Keys | Wishes::Families => {}
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

    /// Another parent, or none: for whoever has a key, or for a customer of its own; at times with
    /// another key.
    fn change_of_parent(&mut self, command: &mut Value, id: u64) {
        if let Some(own) = self.one_of_own(30) {
            command["customer"] = json!({"id": own});
        }
        let parent = match (self.random.below(100), self.one_of_own(100)) {
            (0..20, _) => Value::Null,
            (20..40, Some(own)) => json!({"id": own}),
            _ => json!({"key": format!("c-{}", self.random.below(self.plan.customers))}),
        };
        command["type"] = json!("UpdateCustomer");
        command["patch"] = self.patch(id);
        command["patch"]["identity"] = json!({"parent": parent});
        if self.random.chance(15) {
            let key = self.random.below(self.plan.customers);
            command["patch"]["key"] = json!(format!("c-{key}"));
        }
    }

    fn one_of_own(&mut self, percent: u64) -> Option<String> {
        let own = u64::try_from(self.own.len()).expect("few customers");
        if own == 0 || !self.random.chance(percent) {
            return None;
        }
        let at = usize::try_from(self.random.below(own)).expect("few customers");
        Some(self.own[at].clone())
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
