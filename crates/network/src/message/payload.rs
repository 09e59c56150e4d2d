//! Payloads: fields in, bytes out, and back.

use bytes::Bytes;
use chainwright_chain::BlockId;

use super::{
    ADDRESSES_MAX, Command, HEADERS_MAX, INVENTORY_MAX, Inventory, InventoryKind, LOCATOR_MAX, Locate,
    Message, MessageError, SendCompact, USER_AGENT_MAX, Version,
};
use crate::address::{AddressInfo, NetworkAddress};
use crate::wire::{Reader, put_bytes, put_compact, put_list};

/// Bit of an inventory kind that asks for the witness (BIP144).
const WITNESS: u32 = 1 << 30;

impl InventoryKind {
    fn number(self) -> u32 {
        match self {
            Self::Transaction => 1,
            Self::Block => 2,
            Self::FilteredBlock => 3,
            Self::CompactBlock => 4,
            Self::WitnessId => 5,
            Self::WitnessTransaction => 1 | WITNESS,
            Self::WitnessBlock => 2 | WITNESS,
            Self::Unknown(number) => number,
        }
    }

    fn from_number(number: u32) -> Self {
        const WITNESS_TRANSACTION: u32 = 1 | WITNESS;
        const WITNESS_BLOCK: u32 = 2 | WITNESS;
        match number {
            1 => Self::Transaction,
            2 => Self::Block,
            3 => Self::FilteredBlock,
            4 => Self::CompactBlock,
            5 => Self::WitnessId,
            WITNESS_TRANSACTION => Self::WitnessTransaction,
            WITNESS_BLOCK => Self::WitnessBlock,
            other => Self::Unknown(other),
        }
    }

    /// Whether it names a transaction in any way.
    pub fn is_transaction(self) -> bool {
        matches!(self, Self::Transaction | Self::WitnessId | Self::WitnessTransaction)
    }

    /// Whether it names a block in any way.
    pub fn is_block(self) -> bool {
        matches!(self, Self::Block | Self::FilteredBlock | Self::CompactBlock | Self::WitnessBlock)
    }
}

impl Message {
    /// The name the message travels under.
    pub fn command(&self) -> Command {
        match self {
            Self::Unknown(command) => *command,
            known => Command::new(known.name()),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Version(_) => "version",
            Self::Verack => "verack",
            Self::Ping(_) => "ping",
            Self::Pong(_) => "pong",
            Self::Addr(_) => "addr",
            Self::AddrV2(_) => "addrv2",
            Self::SendAddrV2 => "sendaddrv2",
            Self::GetAddr => "getaddr",
            Self::Inv(_) => "inv",
            Self::GetData(_) => "getdata",
            Self::NotFound(_) => "notfound",
            Self::GetBlocks(_) => "getblocks",
            Self::GetHeaders(_) => "getheaders",
            Self::Headers(_) => "headers",
            Self::SendHeaders => "sendheaders",
            Self::Block(_) => "block",
            Self::Tx(_) => "tx",
            Self::Mempool => "mempool",
            Self::FeeFilter(_) => "feefilter",
            Self::WtxidRelay => "wtxidrelay",
            Self::SendCompact(_) => "sendcmpct",
            Self::Reject => "reject",
            Self::Proof { .. } => "proof",
            Self::Unknown(_) => "",
        }
    }

    /// The payload. `header_length` as in [`Message::decode`].
    pub fn encode(&self, header_length: Option<usize>) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Version(version) => put_version(&mut out, version),
            Self::Ping(nonce) => out.extend(nonce.iter().flat_map(|nonce| nonce.to_le_bytes())),
            Self::Pong(nonce) => out.extend_from_slice(&nonce.to_le_bytes()),
            Self::Addr(list) => put_list(&mut out, list, |out, info| info.put_legacy(out)),
            Self::AddrV2(list) => put_list(&mut out, list, |out, info| info.put_v2(out)),
            Self::Inv(list) | Self::GetData(list) | Self::NotFound(list) => {
                put_list(&mut out, list, |out, entry| {
                    out.extend_from_slice(&entry.kind.number().to_le_bytes());
                    out.extend_from_slice(&entry.id);
                });
            }
            Self::GetBlocks(locate) | Self::GetHeaders(locate) => {
                out.extend_from_slice(&locate.version.to_le_bytes());
                put_list(&mut out, &locate.locator, |out, id| out.extend_from_slice(&id.0));
                out.extend_from_slice(&locate.stop.0);
            }
            Self::Headers(headers) => put_list(&mut out, headers, |out, header| match header_length {
                Some(_) => {
                    out.extend_from_slice(header);
                    put_compact(out, 0);
                }
                None => put_bytes(out, header),
            }),
            Self::Block(bytes) | Self::Tx(bytes) => out.extend_from_slice(bytes),
            Self::FeeFilter(rate) => out.extend_from_slice(&rate.to_le_bytes()),
            Self::SendCompact(compact) => {
                out.push(compact.high_bandwidth as u8);
                out.extend_from_slice(&compact.version.to_le_bytes());
            }
            Self::Proof { id, proof } => {
                out.extend_from_slice(&id.0);
                out.extend_from_slice(proof);
            }
            Self::Verack
            | Self::SendAddrV2
            | Self::GetAddr
            | Self::SendHeaders
            | Self::Mempool
            | Self::WtxidRelay
            | Self::Reject
            | Self::Unknown(_) => {}
        }
        out
    }

    /// Reads a payload.
    ///
    /// `header_length`: bytes of a header where they are all of one size; `headers` then looks as Bitcoin's does (each
    /// followed by a transaction count of zero). Without it each header is preceded by its length.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn decode(
        command: Command,
        payload: Bytes,
        header_length: Option<usize>,
    ) -> Result<Self, MessageError> {
        let reader = &mut Reader::new(payload);
        Ok(match command.name() {
            "version" => Self::Version(read_version(reader)?),
            "verack" => Self::Verack,
            "ping" if reader.remaining() < 8 => Self::Ping(None),
            "ping" => Self::Ping(Some(reader.u64()?)),
            "pong" => Self::Pong(reader.u64()?),
            "addr" => Self::Addr(reader.list(ADDRESSES_MAX, AddressInfo::read_legacy)?),
            "addrv2" => {
                let known = reader.list(ADDRESSES_MAX, AddressInfo::read_v2)?;
                Self::AddrV2(known.into_iter().flatten().collect())
            }
            "sendaddrv2" => Self::SendAddrV2,
            "getaddr" => Self::GetAddr,
            "inv" => Self::Inv(read_inventory(reader)?),
            "getdata" => Self::GetData(read_inventory(reader)?),
            "notfound" => Self::NotFound(read_inventory(reader)?),
            "getblocks" => Self::GetBlocks(read_locate(reader)?),
            "getheaders" => Self::GetHeaders(read_locate(reader)?),
            "headers" => {
                Self::Headers(reader.list(HEADERS_MAX, |reader| read_header(reader, header_length))?)
            }
            "sendheaders" => Self::SendHeaders,
            "block" => Self::Block(reader.rest()),
            "tx" => Self::Tx(reader.rest()),
            "mempool" => Self::Mempool,
            "feefilter" => Self::FeeFilter(reader.u64()?),
            "wtxidrelay" => Self::WtxidRelay,
            "sendcmpct" => {
                Self::SendCompact(SendCompact { high_bandwidth: reader.bool()?, version: reader.u64()? })
            }
            "reject" => Self::Reject,
            "proof" => Self::Proof { id: BlockId(reader.array()?), proof: reader.rest() },
            _ => Self::Unknown(command),
        })
    }
}

fn put_version(out: &mut Vec<u8>, version: &Version) {
    out.extend_from_slice(&version.version.to_le_bytes());
    out.extend_from_slice(&version.services.to_le_bytes());
    out.extend_from_slice(&version.time.to_le_bytes());
    for (services, address) in [&version.receiver, &version.sender] {
        out.extend_from_slice(&services.to_le_bytes());
        address.put_legacy(out);
    }
    out.extend_from_slice(&version.nonce.to_le_bytes());
    put_bytes(out, version.user_agent.as_bytes());
    out.extend_from_slice(&version.start_height.to_le_bytes());
    out.push(version.relay as u8);
}

/// Everything after the receiver's address was once absent (Bitcoin Core `ProcessMessage`, `version`).
fn read_version(reader: &mut Reader) -> Result<Version, MessageError> {
    let mut version = Version {
        version: reader.u32()? as i32,
        services: reader.u64()?,
        time: reader.u64()? as i64,
        receiver: (reader.u64()?, NetworkAddress::read_legacy(reader)?),
        sender: (0, NetworkAddress::UNSPECIFIED),
        nonce: 1,
        user_agent: String::new(),
        start_height: -1,
        relay: true,
    };
    if !reader.is_empty() {
        version.sender = (reader.u64()?, NetworkAddress::read_legacy(reader)?);
        version.nonce = reader.u64()?;
    }
    if !reader.is_empty() {
        let bytes = reader.bytes(USER_AGENT_MAX)?;
        version.user_agent = bytes.iter().map(|byte| char::from(*byte)).filter(|c| is_harmless(*c)).collect();
    }
    if !reader.is_empty() {
        version.start_height = reader.u32()? as i32;
    }
    if !reader.is_empty() {
        version.relay = reader.bool()?;
    }
    Ok(version)
}

/// Characters that may be shown and logged (Bitcoin Core `SanitizeString`, default set).
fn is_harmless(character: char) -> bool {
    character.is_ascii_alphanumeric() || " .,;-_/:?@()".contains(character)
}

fn read_inventory(reader: &mut Reader) -> Result<Vec<Inventory>, MessageError> {
    reader.list(INVENTORY_MAX, |reader| {
        Ok(Inventory { kind: InventoryKind::from_number(reader.u32()?), id: reader.array()? })
    })
}

fn read_locate(reader: &mut Reader) -> Result<Locate, MessageError> {
    Ok(Locate {
        version: reader.u32()?,
        locator: reader.list(LOCATOR_MAX, |reader| reader.array().map(BlockId))?,
        stop: BlockId(reader.array()?),
    })
}

fn read_header(reader: &mut Reader, header_length: Option<usize>) -> Result<Bytes, MessageError> {
    let Some(length) = header_length else { return reader.bytes(reader.remaining()) };
    let header = reader.take(length)?;
    // The count of transactions; always zero, and Bitcoin Core reads past it whatever it is.
    reader.compact()?;
    Ok(header)
}
