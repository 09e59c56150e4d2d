//! Reading RLP strictly: the parts `alloy-rlp` leaves to its callers.

use alloy_rlp::Header;
use chainwright_chain::DecodeError;

/// Words for whatever `alloy-rlp` found wrong with `what`.
pub(super) fn wrong(what: &'static str) -> impl Fn(alloy_rlp::Error) -> DecodeError {
    move |error| DecodeError::new(format!("{what}: {error}"))
}

/// Takes a list off the front and gives its payload.
pub(super) fn list<'a>(buffer: &mut &'a [u8], what: &'static str) -> Result<&'a [u8], DecodeError> {
    Header::decode_bytes(buffer, true).map_err(wrong(what))
}

/// Refuses bytes after the end of `what`.
pub(super) fn end(buffer: &[u8], what: &'static str) -> Result<(), DecodeError> {
    if buffer.is_empty() {
        return Ok(());
    }
    Err(DecodeError::new(format!("{what}: {} bytes after its end", buffer.len())))
}

/// Takes one item, header and payload, off the front of a list's payload; says whether it is a list itself.
pub(super) fn item<'a>(
    buffer: &mut &'a [u8],
    what: &'static str,
) -> Result<(&'a [u8], &'a [u8], bool), DecodeError> {
    let start = *buffer;
    let header = Header::decode(buffer).map_err(wrong(what))?;
    // `Header::decode` has checked that the payload is there.
    let (payload, rest) = buffer.split_at(header.payload_length);
    *buffer = rest;
    Ok((&start[..start.len() - rest.len()], payload, header.list))
}
