//! `tallybook health`: asks a process whether it can do its work; for containers, which have no shell.

use clap::Args;
use reqwest::{Method, Url};

use super::client::{Api, Shown};
use super::exit::Unavailable;

/// Arguments of `health`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The process
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: Url,
    /// Ask only whether it lives, not whether it is ready
    #[arg(long)]
    live: bool,
}

/// Succeeds when the process says that it is well.
pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let api = Api::new(arguments.url.clone(), "none")?;
    let path = if arguments.live { "livez" } else { "readyz" };
    let asked = api.exchange(Method::GET, api.address(&[path])?, None, Shown::Bearer).await?;
    match asked {
        (200, _) => Ok(()),
        (status, said) => {
            let said = said.trim();
            Err(Unavailable(format!("{} answered {status}: {said}", arguments.url)).into())
        }
    }
}
