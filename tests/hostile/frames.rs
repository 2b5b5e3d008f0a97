//! HTTP/2 by hand: frames that no client sends.

use std::time::Duration;

use crate::raw::Raw;

/// What an attacker does, again and again: gives the frames of a round.
pub(crate) type Attack = fn(round: u32) -> Vec<u8>;

/// Rounds after which an attack would have gone through.
pub(crate) const ENOUGH: u32 = 200_000;
/// How long an attacker goes on at most; then it has gone through, too.
const PATIENCE: Duration = Duration::from_secs(30);

/// Each attack, with its name.
pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("rapid reset", rapid_reset),
    ("headers without end", endless_headers),
    ("streams that go back", streams_that_go_back),
    ("frames that are too long", long_frame),
    ("answers to no ping, on a stream", ping_on_a_stream),
    ("a window that overflows", overflowing_window),
];

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET /livez`, by HPACK's static table.
const REQUEST: &[u8] = b"\x82\x86\x44\x06/livez\x41\x01x";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Asks, and takes it back at once.
fn rapid_reset(round: u32) -> Vec<u8> {
    let stream = 2 * round + 1;
    let mut frames = frame(HEADERS, END_STREAM | END_HEADERS, stream, REQUEST);
    frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    frames
}

/// A head that goes on and on.
fn endless_headers(round: u32) -> Vec<u8> {
    let mut header = b"\x00\x01a\x7f\x81\x07".to_vec();
    header.extend(std::iter::repeat_n(b'x', 1_024));
    if round == 0 { frame(HEADERS, 0, 1, REQUEST) } else { frame(CONTINUATION, 0, 1, &header) }
}

/// Data for streams that were never begun.
fn streams_that_go_back(round: u32) -> Vec<u8> {
    frame(DATA, 0, 2 * round + 101, b"x")
}

/// A frame that is longer than was agreed.
fn long_frame(_: u32) -> Vec<u8> {
    frame(DATA, 0, 1, &vec![0; 1 << 20])
}

/// A ping where none belongs.
fn ping_on_a_stream(_: u32) -> Vec<u8> {
    frame(PING, 0, 1, &[0; 8])
}

/// Room for more than there can be.
fn overflowing_window(_: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes())
}

/// Attacks until the server has had enough, and gives how many rounds that took.
pub(crate) async fn attack(mut connection: Raw, attack: Attack) -> u32 {
    let mut begun = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    begun.extend(frame(SETTINGS, 0, 0, &[]));
    connection.send_bytes(&begun).await;
    let rounds = async {
        let mut round = 0;
        while round < ENOUGH && connection.send_bytes(&attack(round)).await {
            round += 1;
            // Now and then it looks whether the server has closed: what is sent then is lost.
            if round % 64 == 0 && connection.is_closed() {
                break;
            }
        }
        round
    };
    tokio::time::timeout(PATIENCE, rounds).await.unwrap_or(ENOUGH)
}
