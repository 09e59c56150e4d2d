//! Keys whose order on disk is the order of what they mean.
//!
//! ```text
//! history   table 1 │ row's key, 00 written as 00 FF │ 00 00 │ height 4, big-endian
//! ```
//!
//! No escaped key is the beginning of another one with its end, so rows of different lengths never mix.

use chainwright_chain::{Height, TableId};

const ZERO: [u8; 2] = [0x00, 0xff];
const END: [u8; 2] = [0x00, 0x00];
/// Bytes of a height at the end of a key.
const HEIGHT_BYTES: usize = 4;

/// Where all entries of a row begin.
pub(crate) fn row(table: TableId, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len() + 12);
    bytes.push(table.0);
    for part in key.split_inclusive(|byte| *byte == 0) {
        match part.split_last() {
            Some((0, before)) => {
                bytes.extend_from_slice(before);
                bytes.extend_from_slice(&ZERO);
            }
            _ => bytes.extend_from_slice(part),
        }
    }
    bytes.extend_from_slice(&END);
    bytes
}

/// The entry of a row at a height, from where the row's entries begin.
pub(crate) fn entry(mut row: Vec<u8>, height: Height) -> Vec<u8> {
    row.extend_from_slice(&height.0.to_be_bytes());
    row
}

/// Behind all entries of a row.
pub(crate) fn after_row(row: &[u8]) -> Vec<u8> {
    let mut bytes = row.to_vec();
    // No height reaches the greatest one by far, and the next row's key differs before that.
    bytes.extend_from_slice(&[0xff; HEIGHT_BYTES + 1]);
    bytes
}

/// Behind all rows of a table.
pub(crate) fn after_table(table: TableId) -> Vec<u8> {
    match table.0.checked_add(1) {
        Some(next) => vec![next],
        None => vec![0xff; 64],
    }
}

/// The beginning of the row's entries, the row's own key, and the height of an entry; `None` if it is none.
pub(crate) fn split_entry(bytes: &[u8]) -> Option<(&[u8], Vec<u8>, Height)> {
    let (row, height) = bytes.split_last_chunk::<HEIGHT_BYTES>()?;
    let escaped = row.get(1..)?.strip_suffix(&END)?;
    let mut key = Vec::with_capacity(escaped.len());
    let mut rest = escaped.iter();
    while let Some(byte) = rest.next() {
        key.push(*byte);
        if *byte == 0 && rest.next() != Some(&ZERO[1]) {
            return None;
        }
    }
    Some((row, key, Height(u32::from_be_bytes(*height))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: TableId = TableId(3);

    #[test]
    fn order_is_that_of_keys_and_then_of_heights() {
        let keys: [&[u8]; 9] =
            [b"", b"\0", b"\0\0", b"\0\0\xff", b"\0\xff", b"a", b"a\0", b"a\0\0\0\x07", b"b"];
        let mut last = Vec::new();
        for key in keys {
            for height in [0, 1, 255, 256, u32::MAX] {
                let entry = entry(row(TABLE, key), Height(height));
                assert!(last < entry, "{key:?} at {height}");
                assert!(entry < after_row(&row(TABLE, key)));
                assert_eq!(split_entry(&entry), Some((&row(TABLE, key)[..], key.to_vec(), Height(height))));
                last = entry;
            }
            assert!(last < after_table(TABLE) && row(TABLE, key) > after_table(TableId(2)));
        }
    }

    #[test]
    fn what_is_no_entry_is_told() {
        for bytes in [&b""[..], b"abc", b"\x03ab\0\0\0\0", b"\x03\0a\0\0\0\0\0\0"] {
            assert_eq!(split_entry(bytes), None, "{bytes:?}");
        }
    }
}
