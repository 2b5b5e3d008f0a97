//! How far the read models have come, for a process that does not fold them itself: whoever folds tells
//! it by `NOTIFY`; whoever hears nothing looks by itself, every second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tallybook_events::ids::{Partition, Position};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::AsyncMessage;

use super::ASK_WITHIN;
use super::database::{CONNECT_WITHIN, PostgresError, within};
use super::place::{PostgresPlace, Side};
use crate::progress::Progress;

/// Most positions in one piece of news, which PostgreSQL keeps below 8,000 bytes.
pub(super) const NEWS_AT_ONCE: usize = 200;
/// How long to listen before looking.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most news that wait to be read. What is more is found by looking.
const MAX_NEWS: usize = 1_024;
/// Pause before connecting anew; doubled each time,
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// up to this one.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A task that listens. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    task: JoinHandle<()>,
    state: Arc<Mutex<Option<String>>>,
}

impl Watch {
    /// Tells why nothing is heard at present; nothing when all is well.
    pub fn deaf(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Publishes into `progress` where the rows of a place stand, from now on. It runs as a task of the
/// present runtime; a server that does not answer is asked again, with growing pauses.
pub fn watch(place: PostgresPlace, progress: Arc<Progress>) -> Watch {
    let state = Arc::new(Mutex::new(Some("it has only begun".to_owned())));
    let told = Arc::clone(&state);
    let task = tokio::spawn(async move {
        let tell = |why: Option<String>| {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = why;
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let mut heard = false;
            let ended = follow(&place, &progress, || {
                tell(None);
                heard = true;
            });
            let Err(error) = ended.await;
            tell(Some(error.to_string()));
            pause = if heard { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            tokio::time::sleep(pause).await;
        }
    });
    Watch { task, state }
}

/// Listens until the connection ends. `heard` is called whenever it is known where the rows stand.
async fn follow(
    place: &PostgresPlace,
    progress: &Progress,
    mut heard: impl FnMut(),
) -> Result<std::convert::Infallible, PostgresError> {
    let config = place.config(Side::Reads);
    let connecting = async { Ok::<_, PostgresError>(config.connect(place.tls()).await?) };
    let (client, mut connection) = within(CONNECT_WITHIN, connecting).await?;
    let (tell, mut news) = mpsc::channel(MAX_NEWS);
    // Ends with the connection, and that with the client.
    tokio::spawn(async move {
        loop {
            let message = std::future::poll_fn(|context| connection.poll_message(context)).await;
            match message {
                Some(Ok(AsyncMessage::Notification(notification))) => {
                    // When there is no room the next look finds it.
                    let _ = tell.try_send(notification.payload().to_owned());
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
    });
    let listen = format!("LISTEN {}", place.channel());
    let listening = async { Ok::<_, PostgresError>(client.batch_execute(&listen).await?) };
    within(ASK_WITHIN, listening).await?;
    loop {
        let look = "SELECT partition, seq FROM positions";
        let looking = async { Ok::<_, PostgresError>(client.query(look, &[]).await?) };
        for row in within(ASK_WITHIN, looking).await? {
            publish(progress, row.try_get(0)?, row.try_get(1)?);
        }
        heard();
        while let Ok(told) = tokio::time::timeout(LOOK_EVERY, news.recv()).await {
            let told = told.ok_or_else(|| PostgresError::Row("the connection ended".into()))?;
            for (partition, seq) in told.split(' ').filter_map(|one| one.split_once(':')) {
                if let (Ok(partition), Ok(seq)) = (partition.parse(), seq.parse()) {
                    publish(progress, partition, seq);
                }
            }
        }
    }
}

fn publish(progress: &Progress, partition: i64, seq: i64) {
    if let (Ok(partition), Ok(seq)) = (u32::try_from(partition), u64::try_from(seq)) {
        progress.publish(Position { partition: Partition(partition), seq });
    }
}
