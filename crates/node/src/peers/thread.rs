//! The thread that owns the protocol.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chainwright_chain::{Block as _, ChainHandle, Fault, Header as _, Ledger, Transaction as _};
use chainwright_network::{ConnectionKind, Input, NetworkAddress, Output, PeerId, Protocol};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::Gate;
use super::names::{AddedPeer, Named};
use super::net_time::NetTime;
use super::socket::{Connection, SocketEvent};
use crate::log::Log;

/// How often the address book is written down (Bitcoin Core, `DUMP_PEERS_INTERVAL`).
const BOOK_INTERVAL: Duration = Duration::from_mins(15);

/// A question or an order for the protocol.
pub(super) type Question<L> = Box<dyn FnOnce(&mut Protocol<L>, u64) + Send>;

/// What reaches the thread.
pub(super) enum Event<L: Ledger> {
    Socket(SocketEvent),
    Connected {
        peer: PeerId,
        address: NetworkAddress,
        kind: ConnectionKind,
        connection: Connection,
        local: Option<SocketAddr>,
    },
    Input(Input),
    Ask(Question<L>),
    /// A peer to stay connected to; `is_listed` if the operator may remove it again.
    Add {
        name: String,
        is_listed: bool,
    },
    /// What a name stands for; `None` if nobody knows.
    Resolved {
        name: String,
        address: Option<NetworkAddress>,
    },
    Remove(String),
    Added(Sender<Vec<AddedPeer>>),
    LocalAddresses(Sender<Vec<(PeerId, SocketAddr)>>),
    Stop,
}

pub(super) struct PeersThread<L: Ledger> {
    protocol: Protocol<L>,
    time: NetTime,
    gate: Gate<L>,
    chain: ChainHandle<L>,
    connections: HashMap<PeerId, (Connection, Option<SocketAddr>)>,
    /// Connections that have credits due, but nobody who wants to hear them.
    held_back: HashSet<PeerId>,
    named: Vec<Named>,
    book: PathBuf,
    book_saved: Instant,
    log: Log,
}

impl<L: Ledger> PeersThread<L> {
    pub(super) fn new(
        make: impl FnOnce(u64) -> Protocol<L>,
        mut time: NetTime,
        (gate, chain): (Gate<L>, ChainHandle<L>),
        (book, log): (PathBuf, Log),
    ) -> Self {
        let protocol = make(time.now_ms());
        Self {
            protocol,
            time,
            gate,
            chain,
            connections: HashMap::new(),
            held_back: HashSet::new(),
            named: Vec::new(),
            book,
            book_saved: Instant::now(),
            log,
        }
    }

    pub(super) fn run(mut self, inbox: &Receiver<Event<L>>) {
        self.feed(Input::Tick);
        loop {
            let now = self.time.now_ms();
            let pause = Duration::from_millis(self.protocol.wake_at().saturating_sub(now)).min(BOOK_INTERVAL);
            match inbox.recv_timeout(pause) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => self.feed(Input::Tick),
            }
            if self.protocol.wake_at() <= self.time.now_ms() {
                self.feed(Input::Tick);
            }
            if self.book_saved.elapsed() >= BOOK_INTERVAL {
                self.save_book();
            }
        }
        self.connections.clear();
        self.save_book();
    }

    fn take(&mut self, event: Event<L>) {
        match event {
            Event::Socket(event) => self.take_from_socket(event),
            Event::Connected { peer, address, kind, connection, local } => {
                self.log.debug(format!("connected to {address} ({kind:?}), peer={}", peer.0));
                self.connections.insert(peer, (connection, local));
                self.held_back.insert(peer);
                self.feed(Input::Connected { peer, address, kind });
                // From now on the protocol counts what waits in the send queue.
                self.feed(Input::Waiting { peer, bytes: 0 });
            }
            Event::Input(input) => self.feed(input),
            Event::Ask(question) => {
                question(&mut self.protocol, self.time.now_ms());
                self.drain();
            }
            Event::Add { name, is_listed } => self.add(name, is_listed),
            Event::Resolved { name, address } => self.resolved(&name, address),
            Event::Remove(name) => self.remove(&name),
            Event::Added(answer) => {
                let listed = self.named.iter().filter(|named| named.is_listed);
                let _ = answer.send(listed.map(|named| named.peer.clone()).collect());
            }
            Event::LocalAddresses(answer) => {
                let local =
                    |(peer, (_, local)): (&PeerId, &(_, Option<SocketAddr>))| Some((*peer, (*local)?));
                let _ = answer.send(self.connections.iter().filter_map(local).collect());
            }
            Event::Stop => {}
        }
    }

    fn take_from_socket(&mut self, event: SocketEvent) {
        match event {
            SocketEvent::Received(peer, bytes) => {
                // Bytes of a connection that we are closing are not looked at.
                if let Some((connection, _)) = self.connections.get_mut(&peer) {
                    connection.chunk_handled();
                    self.held_back.insert(peer);
                    self.feed(Input::Received { peer, bytes });
                }
            }
            SocketEvent::Drained(peer) => self.tell_waiting(peer),
            SocketEvent::Closed(peer) => {
                self.connections.remove(&peer);
                self.held_back.remove(&peer);
                self.feed(Input::Disconnected { peer });
            }
        }
    }

    fn tell_waiting(&mut self, peer: PeerId) {
        if let Some((connection, _)) = self.connections.get(&peer) {
            let bytes = connection.waiting();
            self.feed(Input::Waiting { peer, bytes });
        }
    }

    fn feed(&mut self, input: Input) {
        let now = self.time.now_ms();
        self.protocol.handle(input, now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.protocol.next_output() {
            self.act(output);
        }
        self.held_back.retain(|peer| {
            let Some((connection, _)) = self.connections.get_mut(peer) else { return false };
            if self.protocol.wants_bytes(*peer) {
                connection.pay_credits();
            }
            connection.is_held_back()
        });
    }

    fn act(&mut self, output: Output<L>) {
        match output {
            Output::Send { peer, bytes } => {
                let crossed =
                    self.connections.get(&peer).is_some_and(|(connection, _)| connection.send(bytes));
                if crossed {
                    // Not fed from here: the outputs before it have to leave first.
                    self.gate.send(Event::Socket(SocketEvent::Drained(peer)));
                }
            }
            Output::Connect { address, kind } => {
                let is_manual = kind == ConnectionKind::Manual;
                let named = self.named.iter().find(|named| is_manual && named.peer.address == Some(address));
                self.gate.dial(address, kind, named.map(|named| named.peer.name.clone()));
            }
            Output::Disconnect { peer, why } => {
                self.log.debug(format!("disconnecting peer={}: {why}", peer.0));
                self.connections.remove(&peer);
            }
            Output::Discourage { address, why } => self.log.line(format!("Misbehaving: {address}: {why}")),
            Output::ImportHeaders { token, headers } => {
                let reply = self.chain.import_headers(headers);
                self.answer_later(reply, move |result| Input::HeadersImported { token, result });
            }
            Output::ImportBlock { token, block } => {
                let (id, log) = (block.header().id(), self.log.clone());
                let reply = self.chain.import(block);
                self.answer_later(reply, move |result| {
                    if let Err(reject) = &result {
                        log.line(format!("Block validation error: {reject}, block={}", L::show_id(&id.0)));
                    }
                    Input::BlockImported { token, result }
                });
            }
            Output::SubmitTransaction { token, tx } => {
                let (id, log) = (tx.id(), self.log.clone());
                let answer = move |result| {
                    if let Err(refusal) = &result {
                        log.debug(format!("{} was not accepted: {refusal}", L::show_id(&id.0)));
                    }
                    Input::TransactionSubmitted { token, result }
                };
                let Some(task) = tx.work_ahead() else {
                    // At once: what follows may build on it.
                    return self.answer_later(self.chain.submit(tx), answer);
                };
                let (chain, runtime) = (self.chain.clone(), self.gate.runtime.clone());
                let reply = async move {
                    let done = runtime.spawn_blocking(task).await;
                    done.map_err(|error| Fault::new(format!("judging a transaction ahead: {error}")))?;
                    chain.submit(tx).await
                };
                self.answer_later(reply, answer);
            }
            Output::Finalize { token, id, proof } => {
                let reply = self.chain.finalize(id, proof);
                self.answer_later(reply, move |result| Input::Finalized { token, result });
            }
        }
    }

    fn answer_later<T: Send + 'static>(
        &self,
        reply: impl Future<Output = Result<T, Fault>> + Send + 'static,
        input: impl FnOnce(T) -> Input + Send + 'static,
    ) {
        let gate = self.gate.clone();
        self.gate.runtime.spawn(async move {
            // No answer comes from a chain that stops.
            if let Ok(result) = reply.await {
                gate.send(Event::Input(input(result)));
            }
        });
    }

    fn add(&mut self, name: String, is_listed: bool) {
        self.named.push(Named::new(name.clone(), is_listed));
        self.gate.look_up(name, Duration::ZERO);
    }

    /// Dials what a name stands for now in place of what it stood for before; a name nobody knows is looked up again.
    fn resolved(&mut self, name: &str, address: Option<NetworkAddress>) {
        let Some(at) = self.named.iter().position(|named| named.peer.name == name) else { return };
        let named = &mut self.named[at];
        let Some(address) = address else {
            if named.is_new() {
                self.log.line(format!("cannot resolve {name}; trying again"));
            }
            if named.peer.address.is_none() {
                let pause = named.next_pause();
                self.gate.look_up(name.to_owned(), pause);
            }
            return;
        };
        let before = named.peer.address.replace(address);
        if let Some(before) = before.filter(|before| *before != address) {
            self.log.line(format!("{name} has moved from {before} to {address}"));
            self.let_go(&before);
        }
        self.protocol.add_node(address);
        self.feed(Input::Tick);
    }

    fn remove(&mut self, name: &str) {
        let is_meant = |named: &Named| named.is_listed && named.peer.name == name;
        let gone: Vec<_> = self.named.extract_if(.., |named| is_meant(named)).collect();
        for address in gone.iter().filter_map(|named| named.peer.address) {
            self.let_go(&address);
        }
        self.feed(Input::Tick);
    }

    /// An address is not dialled any more, unless another name stands for it.
    fn let_go(&mut self, address: &NetworkAddress) {
        if !self.named.iter().any(|named| named.peer.address.as_ref() == Some(address)) {
            self.protocol.remove_node(address);
        }
    }

    fn save_book(&mut self) {
        self.book_saved = Instant::now();
        if let Err(error) = write_whole(&self.book, &self.protocol.address_book().encode()) {
            self.log.line(format!("cannot write {}: {error}", self.book.display()));
        }
    }
}

fn write_whole(file: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = file.with_extension("dat.new");
    std::fs::write(&temporary, bytes)?;
    std::fs::rename(temporary, file)
}
