//! `tallybook demo`: the main job, end to end: a real server in a temporary folder, real requests over
//! HTTP, and what became of them. Fails when an answer is not as told.
//!
//! - `story`: what is asked, and what is expected. `teller`: asks, prints, compares.
//! - `clock`: the server's clock is the story's, so that every run prints the same.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use tallybook_events::ids::{Environment, Scope};

use self::clock::StoryClock;
use self::teller::Teller;
use super::client::Api;
use super::folder::DataFolder;
use super::keys;
use super::serve::{self, Roles, ServeConfig};
use crate::clock::SharedClock;
use crate::decisions::TierCatalogue;
use crate::gateway;
use crate::keys::KeyScope;

mod story;
mod teller;
mod clock;

/// Plays the story.
pub(super) async fn run() -> anyhow::Result<()> {
    let temporary = tempfile::Builder::new().prefix("tallybook-demo-").tempdir();
    let temporary = temporary.context("cannot make a temporary folder")?;
    let story_clock = Arc::new(StoryClock::new(story::begins()?));
    let clock: SharedClock = Arc::clone(&story_clock) as SharedClock;
    let folder = DataFolder::new(temporary.path());
    let store = keys::open(&folder)?;
    let scope = Scope { tenant: "demo".parse()?, environment: Environment::Test };
    let scopes = [KeyScope::Read, KeyScope::Write, KeyScope::Usage].into_iter().collect();
    let key = keys::create(&store, scope, scopes, 0, &*clock)?.reveal();
    drop(store);
    let running = serve::start(ServeConfig {
        folder,
        listen: "127.0.0.1:0".parse()?,
        tls: None,
        partitions: None,
        kafka: None,
        postgres: None,
        roles: Roles::embedded(),
        name: "tallybook".into(),
        tiers: TierCatalogue::builtin(),
        clock,
        routes: gateway::router,
    })
    .await?;
    let api = Api::new(format!("http://{}", running.address()).parse()?, &key)?;
    let mut teller = Teller::new(api, story_clock);
    let told = story::tell(&mut teller).await;
    let stopped = running.stop().await;
    told?;
    stopped?;
    match teller.faults() {
        0 => Ok(()),
        faults => bail!("{faults} answers were not as told"),
    }
}
