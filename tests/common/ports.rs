//! Ports for brokers, which come back to theirs after they were killed.

use std::fs;
use std::net::TcpListener;

use rand::Rng as _;

/// Ports that are asked for one after the other before we give up.
const PORTS_TRIED: u32 = 10_000;

/// Gives ports that nobody has. They lie below those that the system gives to connections by itself: of
/// these one could be a client's when a broker that was killed comes back to it.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let system = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = system.split_whitespace().next().and_then(|first| first.parse().ok());
    let below: u16 = first.filter(|first| *first > 20_000).unwrap_or(32_768);
    let mut listeners = Vec::new();
    for _ in 0..PORTS_TRIED {
        let port = rand::rng().random_range(10_000..below);
        listeners.extend(TcpListener::bind(("127.0.0.1", port)));
        if listeners.len() == count {
            let port =
                |of: &TcpListener| of.local_addr().expect("what listens has an address").port();
            return listeners.iter().map(port).collect();
        }
    }
    panic!("no free ports between 10000 and {below}");
}
