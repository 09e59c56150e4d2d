//! Bitcoin's messages, byte for byte, without their meaning.
//!
//! Headers, transactions and blocks stay encoded here: only the protocol knows the ledger. Trailing bytes after a
//! message's fields are ignored, as Bitcoin Core does, so that later versions may append fields.

mod frame;
mod payload;

use bytes::Bytes;
use chainwright_chain::{BlockId, TxId};

use crate::address::{AddressInfo, NetworkAddress};

pub use frame::{Command, Frame, FrameDecoder, FrameError, HEADER_BYTES, encode_frame};

/// Most entries of one `inv`, `getdata` or `notfound` (Bitcoin Core `MAX_INV_SZ`).
pub const INVENTORY_MAX: usize = 50_000;
/// Most headers of one `headers` (`m_opts.max_headers_result`, 2,000).
pub const HEADERS_MAX: usize = 2_000;
/// Most entries of one `addr` or `addrv2` (`MAX_ADDR_TO_SEND`).
pub const ADDRESSES_MAX: usize = 1_000;
/// Most entries of a locator (`MAX_LOCATOR_SZ`).
pub const LOCATOR_MAX: usize = 101;
/// Longest user agent (`MAX_SUBVERSION_LENGTH`).
pub const USER_AGENT_MAX: usize = 256;

/// Why a payload is not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Ends early or is nonsense; ignored, as Bitcoin Core does.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    /// A list beyond the protocol's limit; costs the peer its connection.
    #[error("{count} entries, at most {max}")]
    TooMany {
        /// How many were announced.
        count: u64,
        /// How many are allowed.
        max: usize,
    },
}

/// What an inventory entry names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InventoryKind {
    /// A transaction by its id; 1.
    Transaction,
    /// A block; 2.
    Block,
    /// A block filtered by a bloom filter; 3. Never served.
    FilteredBlock,
    /// A compact block; 4.
    CompactBlock,
    /// A transaction by the id of all its bytes; 5 (BIP339).
    WitnessId,
    /// A transaction by its id, witness included; 1 with bit 30.
    WitnessTransaction,
    /// A block, witness included; 2 with bit 30.
    WitnessBlock,
    /// Anything else.
    Unknown(u32),
}

/// One entry of `inv`, `getdata` or `notfound`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inventory {
    /// What is named.
    pub kind: InventoryKind,
    /// Its id.
    pub id: [u8; 32],
}

impl Inventory {
    /// A block, with the witness or without.
    pub fn block(id: BlockId, witness: bool) -> Self {
        Self { kind: if witness { InventoryKind::WitnessBlock } else { InventoryKind::Block }, id: id.0 }
    }

    /// A transaction of any kind.
    pub fn transaction(kind: InventoryKind, id: TxId) -> Self {
        Self { kind, id: id.0 }
    }
}

/// `version`, the first message of each side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Highest protocol version understood.
    pub version: i32,
    /// What the sender offers, as bits.
    pub services: u64,
    /// The sender's clock, seconds since 1970.
    pub time: i64,
    /// The receiver's services and address as the sender sees them.
    pub receiver: (u64, NetworkAddress),
    /// The sender's services and address; Bitcoin Core sends zeros.
    pub sender: (u64, NetworkAddress),
    /// Random; meeting one's own means a connection to oneself.
    pub nonce: u64,
    /// The software.
    pub user_agent: String,
    /// Height of the sender's chain.
    pub start_height: i32,
    /// Whether transactions may be announced at once (BIP37).
    pub relay: bool,
}

/// `sendcmpct`, BIP152.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendCompact {
    /// Whether new blocks may come as `cmpctblock` without being announced.
    pub high_bandwidth: bool,
    /// Version of compact blocks; 2 includes witnesses.
    pub version: u64,
}

/// A request for headers or block ids after the first locator entry the other side knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locate {
    /// The sender's protocol version.
    pub version: u32,
    /// Ids of own blocks, the highest first, ever sparser.
    pub locator: Vec<BlockId>,
    /// Where to stop; zero for as many as possible.
    pub stop: BlockId,
}

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Starts a connection.
    Version(Version),
    /// Accepts the other side's `version`.
    Verack,
    /// Asks for a `pong`. Without nonce before protocol version 60001.
    Ping(Option<u64>),
    /// Answers a `ping`.
    Pong(u64),
    /// Addresses in the old form.
    Addr(Vec<AddressInfo>),
    /// Addresses in the form of BIP155; unknown networks were skipped while reading.
    AddrV2(Vec<AddressInfo>),
    /// Wants `addrv2` (BIP155).
    SendAddrV2,
    /// Asks for addresses.
    GetAddr,
    /// Announces transactions and blocks.
    Inv(Vec<Inventory>),
    /// Asks for what was announced.
    GetData(Vec<Inventory>),
    /// Answers a `getdata` for what is not there.
    NotFound(Vec<Inventory>),
    /// Asks for block ids.
    GetBlocks(Locate),
    /// Asks for headers.
    GetHeaders(Locate),
    /// Headers, each encoded.
    Headers(Vec<Bytes>),
    /// Wants new blocks announced by `headers` (BIP130).
    SendHeaders,
    /// A block, encoded.
    Block(Bytes),
    /// A transaction, encoded.
    Tx(Bytes),
    /// Asks for all announced transactions (BIP35).
    Mempool,
    /// Wants no transactions below this fee rate, in smallest units per 1,000 virtual bytes (BIP133).
    FeeFilter(u64),
    /// Announces transactions by the id of all their bytes (BIP339).
    WtxidRelay,
    /// Understands compact blocks (BIP152).
    SendCompact(SendCompact),
    /// An obsolete complaint (BIP61); ignored.
    Reject,
    /// Chainwright's own: a certificate beside a block.
    Proof {
        /// The block.
        id: BlockId,
        /// The engine's own encoding.
        proof: Bytes,
    },
    /// A message this software does not know; ignored.
    Unknown(Command),
}
