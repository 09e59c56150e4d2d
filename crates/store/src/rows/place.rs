//! Where rows lie in the value log, packed into few bytes: there is one slot in memory per row on disk.

/// Bits of a place that count bytes within a segment.
const OFFSET_BITS: u32 = 28;
/// Segments of the value log are smaller than this, in bytes.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1 << OFFSET_BITS;
/// Segments are numbered below this; the last number is never used.
pub(crate) const SEGMENTS_MAX: u32 = (1 << (48 - OFFSET_BITS)) - 1;

/// A place in the value log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

/// A [`Place`] in 48 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed(pub(crate) [u8; 6]);

impl Packed {
    /// No place: the segment is one that is never used.
    pub(crate) const NONE: Self = Self([0xff; 6]);

    pub(crate) fn place(self) -> Option<Place> {
        let mut bytes = [0; 8];
        bytes[..6].copy_from_slice(&self.0);
        let bits = u64::from_le_bytes(bytes);
        let segment = (bits >> OFFSET_BITS) as u32;
        (segment < SEGMENTS_MAX)
            .then_some(Place { segment, offset: bits as u32 & (SEGMENT_BYTES_MAX as u32 - 1) })
    }
}

impl From<Place> for Packed {
    fn from(place: Place) -> Self {
        let bits = u64::from(place.segment) << OFFSET_BITS | u64::from(place.offset);
        let mut packed = [0; 6];
        packed.copy_from_slice(&bits.to_le_bytes()[..6]);
        Self(packed)
    }
}

impl From<Option<Place>> for Packed {
    fn from(place: Option<Place>) -> Self {
        place.map_or(Self::NONE, Self::from)
    }
}

/// One row on disk: 14 bytes.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    tag: [u8; 8],
    place: Packed,
}

impl Slot {
    pub(crate) const BYTES: usize = 14;

    pub(crate) fn new(tag: u64, place: Place) -> Self {
        Self { tag: tag.to_le_bytes(), place: place.into() }
    }

    pub(crate) fn tag(&self) -> u64 {
        u64::from_le_bytes(self.tag)
    }

    pub(crate) fn place(&self) -> Place {
        self.place.place().unwrap_or_default()
    }

    pub(crate) fn is(&self, tag: u64, place: Place) -> bool {
        self.tag() == tag && self.place == place.into()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.tag);
        out.extend_from_slice(&self.place.0);
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (tag, place) = bytes.split_first_chunk::<8>()?;
        let place = Packed(*place.first_chunk::<6>()?);
        place.place()?;
        Some(Self { tag: *tag, place })
    }
}

/// A change of the index: a row appears, moves or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) tag: u64,
    pub(crate) old: Option<Place>,
    pub(crate) new: Option<Place>,
}

impl Move {
    pub(crate) const BYTES: usize = 20;

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.tag.to_le_bytes());
        out.extend_from_slice(&Packed::from(self.old).0);
        out.extend_from_slice(&Packed::from(self.new).0);
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first_chunk::<8>()?;
        let (old, rest) = rest.split_first_chunk::<6>()?;
        let new = rest.first_chunk::<6>()?;
        Some(Self { tag: u64::from_le_bytes(*tag), old: Packed(*old).place(), new: Packed(*new).place() })
    }
}
