//! A peer made by hand: the messages of Bitcoin's protocol as bytes on a socket.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use chainwright_utxo::hash::sha256d;

/// First bytes of every message on regtest.
pub(crate) const REGTEST: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];
/// First bytes of every message on the main chain.
pub(crate) const MAIN: [u8; 4] = [0xf9, 0xbe, 0xb4, 0xd9];
/// Bytes of a message before its payload.
pub(crate) const HEADER: usize = 24;
/// Longest silence of an honest node that is waited for.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A message: header and payload.
pub(crate) fn message(magic: [u8; 4], command: &str, payload: &[u8]) -> Vec<u8> {
    let checksum = &sha256d(payload)[..4];
    let length = u32::try_from(payload.len()).expect("a test's message is small");
    [&header(magic, command, length)[..20], checksum, payload].concat()
}

/// A header that promises `length` bytes, with a checksum of zeros.
pub(crate) fn header(magic: [u8; 4], command: &str, length: u32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&magic);
    header[4..4 + command.len()].copy_from_slice(command.as_bytes());
    header[16..20].copy_from_slice(&length.to_le_bytes());
    header
}

/// A number as lists are prefixed with it.
pub(crate) fn compact_size(number: usize) -> Vec<u8> {
    match u16::try_from(number) {
        Ok(small) if small < 0xfd => vec![small as u8],
        Ok(number) => [&[0xfd], &number.to_le_bytes()[..]].concat(),
        Err(_) => [&[0xfe], &(number as u32).to_le_bytes()[..]].concat(),
    }
}

/// The payload of `headers`: each is followed by a count of transactions that is always zero.
pub(crate) fn headers_payload<'a>(headers: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut payload = compact_size(headers.len());
    for header in headers {
        payload.extend_from_slice(header);
        payload.push(0);
    }
    payload
}

/// One end of a connection to a node.
pub(crate) struct Puppet {
    socket: TcpStream,
    magic: [u8; 4],
    received: Vec<u8>,
}

impl Puppet {
    /// Connects and says nothing.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr, magic: [u8; 4]) -> Self {
        let socket = TcpStream::connect(address).expect("a node accepts connections");
        socket.set_write_timeout(Some(SILENCE_MAX)).expect("a duration above zero");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a duration above zero");
        Self { socket, magic, received: Vec::new() }
    }

    /// Connects and shakes hands, claiming a chain of this height.
    #[track_caller]
    pub(crate) fn greeted(address: SocketAddr, magic: [u8; 4], height: u32) -> Self {
        let mut puppet = Self::connect(address, magic);
        puppet.send("version", &version(height)).expect("a node takes a version");
        puppet.expect("verack");
        puppet.send("verack", &[]).expect("a node takes a verack");
        puppet
    }

    /// Sends one message.
    pub(crate) fn send(&mut self, command: &str, payload: &[u8]) -> io::Result<()> {
        self.socket.write_all(&message(self.magic, command, payload))
    }

    /// Sends bytes as they are.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Reads up to a message of this name and gives its payload; answers pings on the way.
    #[track_caller]
    pub(crate) fn expect(&mut self, wanted: &str) -> Vec<u8> {
        let started = Instant::now();
        while started.elapsed() < SILENCE_MAX {
            let Some((command, payload)) = self.next_message() else {
                assert!(self.read_more(), "the node left instead of sending {wanted}");
                continue;
            };
            if command == wanted {
                return payload;
            }
            if command == "ping" {
                self.send("pong", &payload).expect("a node takes a pong");
            }
        }
        panic!("waited {} s for {wanted}", SILENCE_MAX.as_secs());
    }

    /// Whether the node ends the connection within `limit`.
    pub(crate) fn is_left(&mut self, limit: Duration) -> bool {
        let started = Instant::now();
        while started.elapsed() < limit {
            self.received.clear();
            if !self.read_more() {
                return true;
            }
        }
        false
    }

    fn next_message(&mut self) -> Option<(String, Vec<u8>)> {
        let header = self.received.get(..HEADER)?;
        let length = u32::from_le_bytes(header[16..20].try_into().expect("four bytes")) as usize;
        let end = HEADER + length;
        let payload = self.received.get(HEADER..end)?.to_vec();
        let command = String::from_utf8_lossy(&header[4..16]).trim_end_matches('\0').to_owned();
        self.received.drain(..end);
        Some((command, payload))
    }

    /// Whether the connection still stands after waiting a moment for bytes.
    fn read_more(&mut self) -> bool {
        let mut bytes = [0; 1 << 14];
        match self.socket.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.received.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}

/// A version message of a node that serves everything.
fn version(height: u32) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.extend(70_016_u32.to_le_bytes());
    payload.extend(9_u64.to_le_bytes());
    payload.extend(1_700_000_000_u64.to_le_bytes());
    payload.extend([0; 26 + 26]);
    payload.extend(u64::from(std::process::id()).to_le_bytes());
    payload.extend([8]);
    payload.extend(b"/puppet/");
    payload.extend(height.to_le_bytes());
    payload.push(1);
    payload
}
