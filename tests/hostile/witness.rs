//! A caller who behaves well, while others do not: it asks on old and on new connections, and each answer
//! must be right and come in time.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;

use crate::common::{Client, Server};

/// Longest that an answer may take. Whoever waits for what the server does after [`crate::PATIENCE`] waits
/// longer; a busy machine needs a part of it.
const LONGEST: Duration = Duration::from_secs(5);
/// Fewest requests that are asked.
const FEWEST: usize = 20;
/// Pause between two rounds.
const PAUSE: Duration = Duration::from_millis(20);

/// Does something hostile, with a witness beside it who is served all the while and after.
pub(crate) async fn during<T>(server: &Server, hostile: impl Future<Output = T>) -> T {
    let client = server.client();
    client.post("/api/v1/customers", &json!({"key": "witness"})).await.expect(201);
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let (url, key) = (server.url.clone(), server.key.key.clone());
    let witness = tokio::spawn(async move {
        let mut rounds = 0;
        loop {
            round(&client, &Client::new(&url, Some(&key)), rounds).await;
            rounds += 1;
            tokio::time::sleep(PAUSE).await;
            let told = !matches!(
                stopped.try_recv(),
                Err(tokio::sync::oneshot::error::TryRecvError::Empty)
            );
            if told && rounds * 2 >= FEWEST {
                return;
            }
        }
    });
    let done = hostile.await;
    // A witness who has panicked does not listen.
    let _ = stop.send(());
    witness.await.expect("the witness is served");
    done
}

/// Asks for a change on an open connection and for its result on a new one.
async fn round(old: &Client, new: &Client, round: usize) {
    let name = format!("round {round}");
    let body = json!({"profile": {"name": name}});
    let path = "/api/v1/customers/witness";
    let changed = timed("a change", old.send(old.request(Method::PATCH, path).json(&body))).await;
    let shown = timed("a question", new.get(path)).await;
    assert_eq!(changed.expect(200)["profile"]["name"], name);
    assert_eq!(shown.expect(200)["profile"]["name"], name);
}

async fn timed<T>(what: &str, asked: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let answer = asked.await;
    assert!(began.elapsed() < LONGEST, "{what} took {:?}", began.elapsed());
    answer
}
