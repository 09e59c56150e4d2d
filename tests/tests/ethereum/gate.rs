//! A line between two nodes that a test can cut and join.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// Listens on loopback; while it is open each connection to it goes on to a target. While it is closed connections are
/// taken and nothing is carried: whoever connects sees a line without an answer.
pub(crate) struct Gate {
    address: SocketAddr,
    line: Arc<Line>,
}

#[derive(Default)]
struct Line {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_open: bool,
    /// Both ends of every connection that is being carried.
    carried: Vec<TcpStream>,
}

impl Gate {
    /// An open line to `target`.
    pub(crate) fn open_to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let line = Arc::new(Line::default());
        let shared = Arc::clone(&line);
        // Ends with this program: nothing tells a listener to stop.
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let line = Arc::clone(&shared);
                thread::spawn(move || drop(line.carry(near, target)));
            }
        });
        let gate = Self { address, line };
        gate.open();
        gate
    }

    /// Where to connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts all connections; new ones wait.
    pub(crate) fn close(&self) {
        let mut state = self.line.state.lock().expect("nobody panics while holding it");
        state.is_open = false;
        for stream in state.carried.drain(..) {
            // An error means that it is gone already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Carries what waits and what comes.
    pub(crate) fn open(&self) {
        self.line.state.lock().expect("nobody panics while holding it").is_open = true;
        self.line.changed.notify_all();
    }
}

impl Line {
    fn carry(&self, near: TcpStream, target: SocketAddr) -> io::Result<()> {
        let state = self.state.lock().expect("nobody panics while holding it");
        let mut state =
            self.changed.wait_while(state, |state| !state.is_open).expect("nobody panics while holding it");
        let far = TcpStream::connect(target)?;
        state.carried.extend([near.try_clone()?, far.try_clone()?]);
        drop(state);
        let (near_back, far_back) = (near.try_clone()?, far.try_clone()?);
        thread::spawn(move || copy(near, far));
        copy(far_back, near_back);
        Ok(())
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
