//! A slow line between two nodes that counts the blocks it carries.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use chainwright_utxo::hash::sha256d;

use crate::wire::HEADER;

/// Bytes of a block's header.
const BLOCK_HEADER: usize = 80;

/// Listens on loopback; each connection to it goes on to `target`.
pub(crate) struct Proxy {
    address: SocketAddr,
    carried: Carried,
}

/// How often each block has been carried from the target, by its id's bytes.
type Carried = Arc<Mutex<BTreeMap<[u8; 32], u32>>>;

impl Proxy {
    /// A line to `target` that takes `pause` for every block.
    pub(crate) fn start(target: SocketAddr, pause: Duration) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let carried = Carried::default();
        let counted = carried.clone();
        // Ends with this program: nothing tells a listener to stop.
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(target) else { continue };
                let counted = counted.clone();
                let (Ok(near_back), Ok(far_back)) = (near.try_clone(), far.try_clone()) else { continue };
                thread::spawn(move || carry_bytes(near, far));
                thread::spawn(move || carry_messages(far_back, near_back, pause, &counted));
            }
        });
        Self { address, carried }
    }

    /// Where to connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many blocks were carried, and how many of these had been carried before.
    pub(crate) fn counts(&self) -> (u32, u32) {
        let carried = self.carried.lock().expect("nobody panics while holding it");
        let all: u32 = carried.values().sum();
        (all, all - u32::try_from(carried.len()).expect("a test's chain is short"))
    }
}

fn carry_bytes(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

/// Carries message after message, so that a block either was carried or was not.
fn carry_messages(mut from: TcpStream, mut to: TcpStream, pause: Duration, carried: &Carried) {
    while let Ok(message) = read_message(&mut from) {
        let is_block = message[4..16].starts_with(b"block\0");
        if is_block {
            thread::sleep(pause);
        }
        if to.write_all(&message).is_err() {
            break;
        }
        if is_block {
            let id = sha256d(&message[HEADER..HEADER + BLOCK_HEADER]);
            *carried.lock().expect("nobody panics while holding it").entry(id).or_default() += 1;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn read_message(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; HEADER];
    from.read_exact(&mut message)?;
    let length = u32::from_le_bytes(message[16..20].try_into().expect("four bytes")) as usize;
    message.resize(HEADER + length, 0);
    from.read_exact(&mut message[HEADER..])?;
    Ok(message)
}
