//! Bare sockets: what is sent is what is written here, and what comes back is read as it is.

use std::io::ErrorKind;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::{DEADLINE, Server};

/// Most bytes of an answer that are kept.
const MOST: usize = 64 << 10;

/// One connection.
pub(crate) struct Raw(TcpStream);

impl Raw {
    /// Connects.
    pub(crate) async fn connect(server: &Server) -> Self {
        let address = server.url.strip_prefix("http://").expect("a plain address");
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("it can be set");
        Self(stream)
    }

    /// Sends a text, or as much of it as the server takes.
    pub(crate) async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    /// The same for bytes. Tells whether the server took them.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) -> bool {
        let sent = tokio::time::timeout(DEADLINE, self.0.write_all(bytes)).await;
        sent.expect("the server reads or closes").is_ok()
    }

    /// Sends one byte, unless the server has answered or closed.
    pub(crate) async fn send_byte(&mut self, byte: u8) -> bool {
        let mut first = [0];
        let heard = tokio::time::timeout(Duration::ZERO, self.0.peek(&mut first)).await.is_ok();
        !heard && self.send_bytes(&[byte]).await
    }

    /// Throws away what has come, and tells whether the server has closed.
    pub(crate) fn is_closed(&self) -> bool {
        let mut bytes = [0; 4096];
        loop {
            match self.0.try_read(&mut bytes) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }

    /// Says that nothing more is sent.
    pub(crate) async fn end(&mut self) {
        // An error says that the server has closed already.
        let _ = self.0.shutdown().await;
    }

    /// Reads until the server closes, and gives what it said.
    pub(crate) async fn rest(&mut self) -> String {
        let mut answer = Vec::new();
        let mut whole = (&mut self.0).take(MOST as u64);
        // A reset is an end, too.
        let read = tokio::time::timeout(DEADLINE, whole.read_to_end(&mut answer)).await;
        drop(read.expect("the server closes in time"));
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Asks whether the server lives, and leaves the connection open.
    pub(crate) async fn ask(&mut self) {
        self.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok\n") {
            let read = tokio::time::timeout(DEADLINE, self.0.read_buf(&mut answer)).await;
            let count = read.expect("an answer in time").expect("an answer");
            assert!(count > 0, "it closed: {}", String::from_utf8_lossy(&answer));
        }
    }

    /// Takes the connection apart.
    pub(crate) fn into_inner(self) -> TcpStream {
        self.0
    }
}

/// Sends a text and reads until the server closes.
pub(crate) async fn said(server: &Server, text: &str) -> String {
    let mut connection = Raw::connect(server).await;
    connection.send(text).await;
    connection.rest().await
}

/// Sends a text, says that this was all, and reads until the server closes.
pub(crate) async fn half_closed(server: &Server, text: &str) -> String {
    let mut connection = Raw::connect(server).await;
    connection.send(text).await;
    connection.end().await;
    connection.rest().await
}

/// Sends a text and goes away without a word: the system tells the server by a reset.
pub(crate) async fn reset(server: &Server, text: &str) {
    let mut connection = Raw::connect(server).await;
    connection.send(text).await;
    let stream = connection.into_inner();
    stream.set_zero_linger().expect("it can be set");
}

/// Makes sure that this process may open so many files.
pub(crate) fn may_open(files: u64) {
    let limit = getrlimit(Resource::Nofile);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= files);
    assert!(
        enough(limit.maximum),
        "this test needs {files} open files, the system allows {:?}: raise the hard limit \
         (`ulimit -Hn`)",
        limit.maximum
    );
    if !enough(limit.current) {
        let raised = Rlimit { current: limit.maximum, ..limit };
        setrlimit(Resource::Nofile, raised).expect("the soft limit can be raised to the hard one");
    }
}
