//! Stack items that never allocate.
//!
//! Script cannot join items, so every item is either bytes that a script or witness already holds, or something
//! computed that is at most a hash long. An item is one or the other, by value.

use std::fmt;

/// The longest computed item: a SHA-256.
const SHORT_SIZE_MAX: usize = 32;

/// An item on the stack.
#[derive(Clone, Copy)]
pub struct Item<'a>(Representation<'a>);

#[derive(Clone, Copy)]
enum Representation<'a> {
    Borrowed(&'a [u8]),
    Short { length: u8, bytes: [u8; SHORT_SIZE_MAX] },
}

impl<'a> Item<'a> {
    /// The empty item, which is also zero and false.
    pub const EMPTY: Self = Self(Representation::Borrowed(&[]));
    /// The item that means true.
    pub const TRUE: Self = Self(Representation::Borrowed(&[1]));

    /// An item that lives in a script or witness.
    pub fn borrowed(bytes: &'a [u8]) -> Self {
        Self(Representation::Borrowed(bytes))
    }

    /// A computed item of at most 32 bytes; longer input is cut.
    pub fn short(computed: &[u8]) -> Self {
        debug_assert!(computed.len() <= SHORT_SIZE_MAX, "nothing Script computes is longer than a hash");
        let length = computed.len().min(SHORT_SIZE_MAX);
        let mut bytes = [0; SHORT_SIZE_MAX];
        bytes[..length].copy_from_slice(&computed[..length]);
        Self(Representation::Short { length: length as u8, bytes })
    }

    /// True or false.
    pub fn boolean(value: bool) -> Self {
        if value { Self::TRUE } else { Self::EMPTY }
    }

    /// The bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Representation::Borrowed(bytes) => bytes,
            Representation::Short { length, bytes } => &bytes[..usize::from(*length)],
        }
    }
}

impl fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x?}", self.as_bytes())
    }
}
