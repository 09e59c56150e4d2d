//! Records of the block tree, as the store keeps them: a tag byte and a payload.

use bytes::Bytes;

use crate::{BlockId, DecodeError, Proof, Reason};

/// A fact about the tree that survives a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// An accepted header, encoded. Its parent's record comes before.
    Header(Bytes),
    /// A block that breaks the rules (or was invalidated by the operator).
    Invalid(BlockId, Reason),
    /// The verdicts around a block were forgotten.
    Reconsidered(BlockId),
    /// A block is final.
    Finalized(BlockId, Proof),
    /// The state was changed by hand at a block: an encoded delta on top of what was changed there before.
    Amended(BlockId, Bytes),
    /// The chain went back to a block for good: the encoded delta of all that is changed by hand there.
    Rewound(BlockId, Bytes),
    /// The way back to a block is finished: what stands above it now came later.
    Arrived(BlockId),
    /// The chain begins with the state of this block; all headers up to it come before.
    Base(BlockId),
}

const HEADER: u8 = 1;
const INVALID: u8 = 2;
const RECONSIDERED: u8 = 3;
const FINALIZED: u8 = 4;
const AMENDED: u8 = 5;
const REWOUND: u8 = 6;
const ARRIVED: u8 = 7;
const BASE: u8 = 8;

impl Record {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Header(bytes) => [&[HEADER], &bytes[..]].concat(),
            Self::Invalid(id, reason) => {
                let code = reason.code.as_bytes();
                let code_len = u16::try_from(code.len()).unwrap_or(u16::MAX);
                let code = &code[..usize::from(code_len)];
                [&[INVALID], &id.0[..], &code_len.to_le_bytes(), code, reason.detail.as_bytes()].concat()
            }
            Self::Reconsidered(id) => [&[RECONSIDERED], &id.0[..]].concat(),
            Self::Finalized(id, proof) => [&[FINALIZED], &id.0[..], &proof.0[..]].concat(),
            Self::Amended(id, delta) => [&[AMENDED], &id.0[..], &delta[..]].concat(),
            Self::Rewound(id, delta) => [&[REWOUND], &id.0[..], &delta[..]].concat(),
            Self::Arrived(id) => [&[ARRIVED], &id.0[..]].concat(),
            Self::Base(id) => [&[BASE], &id.0[..]].concat(),
        }
    }

    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let damaged = || DecodeError::new("tree record is damaged");
        let (&tag, _) = bytes.split_first().ok_or_else(damaged)?;
        let payload = bytes.slice(1..);
        if tag == HEADER {
            return Ok(Self::Header(payload));
        }
        let (id, rest) = payload.split_first_chunk::<32>().ok_or_else(damaged)?;
        let id = BlockId(*id);
        match tag {
            INVALID => {
                let (code_len, rest) = rest.split_first_chunk::<2>().ok_or_else(damaged)?;
                let code_len = usize::from(u16::from_le_bytes(*code_len));
                let (code, detail) = rest.split_at_checked(code_len).ok_or_else(damaged)?;
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                Ok(Self::Invalid(id, Reason::with(text(code), text(detail))))
            }
            RECONSIDERED => Ok(Self::Reconsidered(id)),
            FINALIZED => Ok(Self::Finalized(id, Proof(payload.slice(32..)))),
            AMENDED => Ok(Self::Amended(id, payload.slice(32..))),
            REWOUND => Ok(Self::Rewound(id, payload.slice(32..))),
            ARRIVED => Ok(Self::Arrived(id)),
            BASE => Ok(Self::Base(id)),
            _ => Err(damaged()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_round_trip(record: &Record) {
        assert_eq!(&Record::decode(&Bytes::from(record.encode())).expect("decodes"), record);
    }

    #[test]
    fn records_survive_encoding() {
        let id = BlockId([7; 32]);
        check_round_trip(&Record::Header(Bytes::from_static(b"header")));
        check_round_trip(&Record::Invalid(id, Reason::with("bad-thing", "of 3, got 4")));
        check_round_trip(&Record::Reconsidered(id));
        check_round_trip(&Record::Base(id));
        check_round_trip(&Record::Finalized(id, Proof(Bytes::from_static(b"proof"))));
        check_round_trip(&Record::Amended(id, Bytes::from_static(b"delta")));
        check_round_trip(&Record::Rewound(id, Bytes::from_static(b"delta")));
        check_round_trip(&Record::Arrived(id));
    }

    #[test]
    fn short_and_unknown_records_are_refused() {
        for bytes in [&b""[..], b"\x02short", b"\x09aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert!(Record::decode(&Bytes::copy_from_slice(bytes)).is_err());
        }
    }
}
