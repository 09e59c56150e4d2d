//! Names of nodes, and the addresses behind them.
//!
//! A name is looked up again whenever a connection to it is tried, because its address may have changed since; looking up never
//! holds up a thread that carries sockets. Invariant: a lookup that fails changes nothing.

use std::net::SocketAddr;
use std::time::Duration;

use chainwright_network::NetworkAddress;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a dialled peer may take to answer the first packet (Bitcoin Core, `DEFAULT_CONNECT_TIMEOUT`).
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long a lookup may take.
const LOOKUP_LIMIT: Duration = Duration::from_secs(30);
/// Addresses of one name that are tried in one go.
const TRIED_MAX: usize = 8;
/// Waiting times between two lookups of a name nobody knows: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// A node the operator asked to stay connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedPeer {
    /// As the operator wrote it.
    pub name: String,
    /// What the name stands for; `None` while nobody knows it.
    pub address: Option<NetworkAddress>,
}

/// A name that is looked up until somebody knows it.
pub(super) struct Named {
    pub(super) peer: AddedPeer,
    /// Whether the operator may remove it again.
    pub(super) is_listed: bool,
    pause: Duration,
}

impl Named {
    pub(super) fn new(name: String, is_listed: bool) -> Self {
        Self { peer: AddedPeer { name, address: None }, is_listed, pause: PAUSE.0 }
    }

    /// How long to wait before the next lookup.
    pub(super) fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE.1);
        pause
    }

    /// Whether this is the first time nobody knows the name.
    pub(super) fn is_new(&self) -> bool {
        self.peer.address.is_none() && self.pause == PAUSE.0
    }
}

/// What became of dialling a name.
#[derive(Debug)]
pub(super) enum Reached {
    /// A connection to the address that was asked for.
    Here(TcpStream),
    /// Nobody there, but the name has another address that answers.
    Elsewhere(NetworkAddress),
    Nowhere,
}

/// Connects to the address a name had, or finds out which it has now.
pub(super) async fn reach(address: NetworkAddress, found: Vec<NetworkAddress>) -> Reached {
    // A name that is gone, or a lookup that failed, is no reason to let go of an address that works.
    let is_current = found.is_empty() || found.contains(&address);
    if is_current && let Some(socket) = connect(address).await {
        return Reached::Here(socket);
    }
    for other in found.into_iter().filter(|other| *other != address).take(TRIED_MAX) {
        if connect(other).await.is_some() {
            return Reached::Elsewhere(other);
        }
    }
    Reached::Nowhere
}

pub(super) async fn connect(address: NetworkAddress) -> Option<TcpStream> {
    let to = address.socket_address()?;
    timeout(CONNECT_LIMIT, TcpStream::connect(to)).await.ok()?.ok()
}

/// The addresses behind `host`, `host:port`, `ip` or `[ip]:port`; none when the name is unknown.
pub(super) async fn resolve(name: &str, default_port: u16) -> Vec<NetworkAddress> {
    if let Ok(address) = name.parse::<SocketAddr>() {
        return vec![NetworkAddress::from(address)];
    }
    if let Ok(ip) = name.trim_matches(['[', ']']).parse() {
        return vec![NetworkAddress::from(SocketAddr::new(ip, default_port))];
    }
    let (host, port) = match name.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().unwrap_or(default_port)),
        None => (name, default_port),
    };
    // Tokio asks the system on a thread that may block.
    match timeout(LOOKUP_LIMIT, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses.map(NetworkAddress::from).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    /// A listener, and an address nobody listens at.
    async fn somebody_and_nobody() -> (TcpListener, NetworkAddress, NetworkAddress) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (somebody, nobody) = (listener.local_addr().unwrap(), gone.local_addr().unwrap());
        (listener, somebody.into(), nobody.into())
    }

    #[test]
    fn a_name_that_has_moved_is_found_at_its_new_address() {
        run(async {
            let (_listener, somebody, nobody) = somebody_and_nobody().await;
            let moved = reach(nobody, vec![somebody]).await;
            assert!(matches!(moved, Reached::Elsewhere(address) if address == somebody), "{moved:?}");
            let one_of_two = reach(nobody, vec![nobody, somebody]).await;
            assert!(matches!(one_of_two, Reached::Elsewhere(address) if address == somebody));
            // Whoever listens at the old address now is somebody else.
            let taken_over = reach(somebody, vec![nobody]).await;
            assert!(matches!(taken_over, Reached::Nowhere), "{taken_over:?}");
        });
    }

    #[test]
    fn an_address_that_works_is_kept_while_names_cannot_be_looked_up() {
        run(async {
            let (_listener, somebody, nobody) = somebody_and_nobody().await;
            assert!(matches!(reach(somebody, Vec::new()).await, Reached::Here(_)));
            assert!(matches!(reach(somebody, vec![nobody, somebody]).await, Reached::Here(_)));
            assert!(matches!(reach(nobody, Vec::new()).await, Reached::Nowhere));
        });
    }

    #[test]
    fn addresses_need_no_lookup_and_unknown_names_stand_for_nobody() {
        run(async {
            let show = |found: Vec<NetworkAddress>| {
                found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            };
            assert_eq!(show(resolve("127.0.0.1", 7).await), "127.0.0.1:7");
            assert_eq!(show(resolve("127.0.0.1:8", 7).await), "127.0.0.1:8");
            assert_eq!(show(resolve("[::1]:9", 7).await), "[::1]:9");
            assert!(resolve("no-such-host.invalid", 7).await.is_empty());
        });
    }

    #[test]
    fn a_name_nobody_knows_is_looked_up_ever_more_slowly() {
        let mut named = Named::new("somebody".to_owned(), true);
        assert!(named.is_new());
        let pauses: Vec<_> = (0..8).map(|_| named.next_pause().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(!named.is_new());
    }
}
