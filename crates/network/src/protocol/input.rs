//! What goes in and what comes out.

use std::sync::Arc;

use bytes::Bytes;
use chainwright_chain::{
    Admission, BlockId, HeadersImported, Imported, Ledger, Notice, Proof, Refusal, Reject,
};

use super::{ConnectionKind, PeerId, Protocol};
use crate::NetworkAddress;
use crate::message::{FrameError, MessageError};

/// Joins a request to the driver with its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Something happened.
#[derive(Debug)]
pub enum Input {
    /// A connection stands. For one we asked for, address and kind are those of [`Output::Connect`].
    Connected {
        /// Its number, chosen by the owner, never used before.
        peer: PeerId,
        /// The other side.
        address: NetworkAddress,
        /// Who opened it and what for.
        kind: ConnectionKind,
    },
    /// A connection we asked for could not be made.
    ConnectFailed {
        /// From [`Output::Connect`].
        address: NetworkAddress,
        /// From [`Output::Connect`].
        kind: ConnectionKind,
    },
    /// Bytes have arrived, cut anywhere.
    Received {
        /// From whom.
        peer: PeerId,
        /// The bytes.
        bytes: Bytes,
    },
    /// How many bytes wait to be sent to a peer.
    Waiting {
        /// To whom.
        peer: PeerId,
        /// How many.
        bytes: usize,
    },
    /// A connection is gone, whoever closed it.
    Disconnected {
        /// Which.
        peer: PeerId,
    },
    /// Time has passed.
    Tick,
    /// Answers [`Output::ImportHeaders`].
    HeadersImported {
        /// From the output.
        token: Token,
        /// The driver's answer.
        result: Result<HeadersImported, Reject>,
    },
    /// Answers [`Output::ImportBlock`].
    BlockImported {
        /// From the output.
        token: Token,
        /// The driver's answer.
        result: Result<Imported, Reject>,
    },
    /// Answers [`Output::SubmitTransaction`].
    TransactionSubmitted {
        /// From the output.
        token: Token,
        /// The pool's answer.
        result: Result<Admission, Refusal>,
    },
    /// Answers [`Output::Finalize`].
    Finalized {
        /// From the output.
        token: Token,
        /// The driver's answer.
        result: Result<(), Reject>,
    },
    /// The chain or the pool has changed.
    Notice(Notice),
}

/// Something to do.
pub enum Output<L: Ledger> {
    /// Send bytes, in order.
    Send {
        /// To whom.
        peer: PeerId,
        /// One whole frame.
        bytes: Bytes,
    },
    /// Open a connection; answered by [`Input::Connected`] or [`Input::ConnectFailed`].
    Connect {
        /// Where.
        address: NetworkAddress,
        /// What for.
        kind: ConnectionKind,
    },
    /// Send what waits, then close.
    Disconnect {
        /// Which.
        peer: PeerId,
        /// For the log.
        why: Farewell,
    },
    /// An address is not used any more; the protocol itself remembers it.
    Discourage {
        /// Which.
        address: NetworkAddress,
        /// For the log.
        why: Farewell,
    },
    /// Hand headers to the driver.
    ImportHeaders {
        /// Comes back with the answer.
        token: Token,
        /// Parents first.
        headers: Vec<L::Header>,
    },
    /// Hand a block to the driver.
    ImportBlock {
        /// Comes back with the answer.
        token: Token,
        /// The block.
        block: L::Block,
    },
    /// Hand a transaction to the pool.
    SubmitTransaction {
        /// Comes back with the answer.
        token: Token,
        /// The transaction.
        tx: Arc<L::Tx>,
    },
    /// Hand a certificate to the driver.
    Finalize {
        /// Comes back with the answer.
        token: Token,
        /// The block it belongs to.
        id: BlockId,
        /// The certificate.
        proof: Proof,
    },
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Farewell {
    /// The stream of bytes makes no sense.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// A message beyond the protocol's limits.
    #[error("{message}: {error}")]
    Message {
        /// The message's name.
        message: String,
        /// What is wrong.
        error: MessageError,
    },
    /// We met ourselves.
    #[error("connected to self")]
    ToSelf,
    /// Too old a protocol version.
    #[error("using obsolete version {0}")]
    Obsolete(u32),
    /// Does not offer what we need.
    #[error("does not offer the expected services ({offered:08x} offered, {expected:08x} expected)")]
    Services {
        /// What it offers.
        offered: u64,
        /// What we need.
        expected: u64,
    },
    /// The address works; that was all we wanted to know.
    #[error("feeler connection completed")]
    Feeler,
    /// Said something at the wrong time, or something nobody may say.
    #[error("{0}")]
    Protocol(&'static str),
    /// Did not do something in time.
    #[error("{0} timeout")]
    Timeout(&'static str),
    /// Sent headers or a block that break the rules.
    #[error("sent an invalid {what}: {reject}")]
    Invalid {
        /// A header, a block, a proof.
        what: &'static str,
        /// The driver's words.
        reject: Reject,
    },
    /// There are too many connections.
    #[error("too many connections")]
    Full,
    /// Had to make room for another.
    #[error("evicted to make room")]
    Evicted,
    /// The address has been discouraged before.
    #[error("address is discouraged")]
    Discouraged,
    /// Its chain stays behind ours.
    #[error("chain is behind ours")]
    Behind,
    /// The operator wants it.
    #[error("asked to disconnect")]
    Operator,
}

impl Farewell {
    /// Whether even a peer the operator asked for is of no use any more.
    pub(super) fn is_fatal(&self) -> bool {
        matches!(self, Self::Frame(_))
    }
}

impl<L: Ledger> Protocol<L> {
    /// Takes what has happened. `now` in milliseconds since 1970; a clock that goes back is ignored.
    pub fn handle(&mut self, input: Input, now: u64) {
        self.now = self.now.max(now);
        match input {
            Input::Connected { peer, address, kind } => self.connected(peer, address, kind),
            Input::ConnectFailed { address, kind } => self.connect_failed(address, kind),
            Input::Received { peer, bytes } => self.received(peer, &bytes),
            Input::Waiting { peer, bytes } => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.waiting = Some(bytes);
                }
            }
            Input::Disconnected { peer } => self.forget_peer(peer),
            // Whatever is due is done below, after any input.
            Input::Tick => {}
            Input::HeadersImported { token, result } => self.headers_imported(token, result),
            Input::BlockImported { token, result } => self.block_imported(token, result),
            Input::TransactionSubmitted { token, result } => self.transaction_submitted(token, result),
            Input::Finalized { token, result } => self.finalized(token, result),
            Input::Notice(notice) => self.noticed(notice),
        }
        self.progress();
    }
}
