//! Addresses of peers on every network BIP155 knows.

use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;

use crate::message::MessageError;
use crate::wire::{Reader, put_bytes, put_compact};

/// Prefix of IPv4 addresses inside IPv6.
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
/// Longest address BIP155 allows.
const ADDRESS_BYTES_MAX: usize = 512;

/// A network and an address on it: BIP155 § Specification.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// IPv4, network id 1.
    Ip4([u8; 4]),
    /// IPv6, network id 2.
    Ip6([u8; 16]),
    /// A Tor version 3 public key, network id 4.
    Onion([u8; 32]),
    /// The SHA-256 of an I2P destination, network id 5.
    I2p([u8; 32]),
    /// CJDNS, network id 6.
    Cjdns([u8; 16]),
}

/// A host and a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkAddress {
    /// Where.
    pub host: Host,
    /// The port; 0 where the network has none.
    pub port: u16,
}

/// What peers tell each other of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressInfo {
    /// When somebody last saw it, in seconds since 1970.
    pub time: u32,
    /// What it offers, as bits.
    pub services: u64,
    /// Where it is.
    pub address: NetworkAddress,
}

impl From<SocketAddr> for NetworkAddress {
    fn from(address: SocketAddr) -> Self {
        let host = match address.ip() {
            IpAddr::V4(ip) => Host::Ip4(ip.octets()),
            IpAddr::V6(ip) => Host::from_ip6(ip.octets()),
        };
        Self { host, port: address.port() }
    }
}

impl Host {
    /// An IPv6 address; one that holds an IPv4 address becomes that.
    pub fn from_ip6(bytes: [u8; 16]) -> Self {
        if bytes[..12] == MAPPED {
            Self::Ip4([bytes[12], bytes[13], bytes[14], bytes[15]])
        } else {
            Self::Ip6(bytes)
        }
    }

    fn number(&self) -> u8 {
        match self {
            Self::Ip4(_) => 1,
            Self::Ip6(_) => 2,
            Self::Onion(_) => 4,
            Self::I2p(_) => 5,
            Self::Cjdns(_) => 6,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Ip4(bytes) => bytes,
            Self::Ip6(bytes) | Self::Cjdns(bytes) => bytes,
            Self::Onion(bytes) | Self::I2p(bytes) => bytes,
        }
    }

    fn from_parts(number: u8, bytes: &[u8]) -> Result<Option<Self>, MessageError> {
        fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], MessageError> {
            bytes.try_into().map_err(|_| MessageError::Malformed("address of a wrong length"))
        }
        Ok(Some(match number {
            1 => Self::Ip4(fixed(bytes)?),
            // IPv4 and Tor version 2 inside IPv6 are not allowed in addrv2 and are skipped.
            2 => match fixed::<16>(bytes)? {
                inner if inner[..12] == MAPPED || inner[..6] == [0xfd, 0x87, 0xd8, 0x7e, 0xeb, 0x43] => {
                    return Ok(None);
                }
                inner => Self::Ip6(inner),
            },
            4 => Self::Onion(fixed(bytes)?),
            5 => Self::I2p(fixed(bytes)?),
            6 => Self::Cjdns(fixed(bytes)?),
            _ => return Ok(None),
        }))
    }

    /// Whether it is this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Ip4([first, ..]) => *first == 127 || *first == 0,
            Self::Ip6(bytes) => Ipv6Addr::from(*bytes).is_loopback(),
            _ => false,
        }
    }

    /// Whether anybody on the internet could reach it (Bitcoin Core `CNetAddr::IsRoutable`).
    pub fn is_routable(&self) -> bool {
        match self {
            Self::Ip4(bytes) => {
                let ip = Ipv4Addr::from(*bytes);
                let [a, b, ..] = *bytes;
                let shared = a == 100 && (64..128).contains(&b);
                let benchmark = a == 198 && (b == 18 || b == 19);
                !(ip.is_private()
                    || ip.is_loopback()
                    || ip.is_link_local()
                    || ip.is_documentation()
                    || ip.is_broadcast()
                    || a == 0
                    || a >= 240
                    || shared
                    || benchmark)
            }
            Self::Ip6(bytes) => {
                let ip = Ipv6Addr::from(*bytes);
                let documentation = bytes[..4] == [0x20, 0x01, 0x0d, 0xb8];
                !(ip.is_loopback()
                    || ip.is_unspecified()
                    || ip.is_unique_local()
                    || ip.is_unicast_link_local()
                    || documentation)
            }
            Self::Onion(_) | Self::I2p(_) | Self::Cjdns(_) => true,
        }
    }

    /// The part of an address one party usually owns as a whole (Bitcoin Core `NetGroupManager::GetGroup`):
    /// /16 of IPv4, /32 of IPv6, four bits of the others.
    pub fn group(&self) -> Vec<u8> {
        let bytes = self.bytes();
        let mut group = vec![self.number()];
        match self {
            Self::Ip4(_) if self.is_local() => group.push(127),
            Self::Ip4(_) => group.extend_from_slice(&bytes[..2]),
            Self::Ip6(_) => group.extend_from_slice(&bytes[..4]),
            Self::Onion(_) | Self::I2p(_) => group.push(bytes[0] | 0x0f),
            Self::Cjdns(_) => group.extend_from_slice(&[bytes[0], bytes[1] | 0x0f]),
        }
        group
    }

    /// The address as `addr` and `version` write it; networks older messages cannot express give `None`.
    fn legacy(&self) -> Option<[u8; 16]> {
        match self {
            Self::Ip4(bytes) => {
                let mut all = [0; 16];
                all[..12].copy_from_slice(&MAPPED);
                all[12..].copy_from_slice(bytes);
                Some(all)
            }
            Self::Ip6(bytes) => Some(*bytes),
            _ => None,
        }
    }
}

impl NetworkAddress {
    /// Nowhere: `[::]:0`.
    pub const UNSPECIFIED: Self = Self { host: Host::Ip6([0; 16]), port: 0 };

    /// Where to dial; `None` for networks that need a proxy.
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Ip4(bytes) => Some(SocketAddr::from((bytes, self.port))),
            Host::Ip6(bytes) | Host::Cjdns(bytes) => Some(SocketAddr::from((bytes, self.port))),
            Host::Onion(_) | Host::I2p(_) => None,
        }
    }

    /// Whether messages before BIP155 can express it.
    pub fn is_legacy(&self) -> bool {
        self.host.legacy().is_some()
    }

    /// Sixteen bytes and the port in network order.
    pub(crate) fn put_legacy(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.host.legacy().unwrap_or_default());
        out.extend_from_slice(&self.port.to_be_bytes());
    }

    pub(crate) fn read_legacy(reader: &mut Reader) -> Result<Self, MessageError> {
        let host = Host::from_ip6(reader.array()?);
        Ok(Self { host, port: reader.u16_big_endian()? })
    }

    pub(crate) fn put_v2(&self, out: &mut Vec<u8>) {
        out.push(self.host.number());
        put_bytes(out, self.host.bytes());
        out.extend_from_slice(&self.port.to_be_bytes());
    }

    /// `None` for a network we do not know.
    pub(crate) fn read_v2(reader: &mut Reader) -> Result<Option<Self>, MessageError> {
        let number = reader.u8()?;
        let bytes: Bytes = reader.bytes(ADDRESS_BYTES_MAX)?;
        let port = reader.u16_big_endian()?;
        Ok(Host::from_parts(number, &bytes)?.map(|host| Self { host, port }))
    }

    /// The bytes of [`NetworkAddress::put_v2`], as a key for hashes.
    pub(crate) fn key(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(36);
        self.put_v2(&mut out);
        out
    }
}

impl AddressInfo {
    pub(crate) fn put_legacy(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.time.to_le_bytes());
        out.extend_from_slice(&self.services.to_le_bytes());
        self.address.put_legacy(out);
    }

    pub(crate) fn read_legacy(reader: &mut Reader) -> Result<Self, MessageError> {
        let (time, services) = (reader.u32()?, reader.u64()?);
        Ok(Self { time, services, address: NetworkAddress::read_legacy(reader)? })
    }

    pub(crate) fn put_v2(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.time.to_le_bytes());
        put_compact(out, self.services);
        self.address.put_v2(out);
    }

    pub(crate) fn read_v2(reader: &mut Reader) -> Result<Option<Self>, MessageError> {
        let (time, services) = (reader.u32()?, reader.compact()?);
        Ok(NetworkAddress::read_v2(reader)?.map(|address| Self { time, services, address }))
    }
}

impl fmt::Display for NetworkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Host::Ip4(_) | Host::Ip6(_) | Host::Cjdns(_) => {
                self.socket_address().expect("IP networks have socket addresses").fmt(f)
            }
            Host::Onion(bytes) => write!(f, "onion-{}:{}", chainwright_chain::Hash(bytes), self.port),
            Host::I2p(bytes) => write!(f, "i2p-{}:{}", chainwright_chain::Hash(bytes), self.port),
        }
    }
}

impl fmt::Debug for NetworkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&NetworkAddress { host: *self, port: 0 }, f)
    }
}
