//! Where rows lie, packed into few bytes: there is one slot in memory per row.

/// Bits of a place that count bytes within a segment.
const OFFSET_BITS: u32 = 28;
/// Segments of the value log are smaller than this, in bytes.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1 << OFFSET_BITS;
/// Segments of the value log are numbered below this; the last numbers mean something else.
pub(crate) const SEGMENTS_MAX: u32 = (1 << (48 - OFFSET_BITS)) - 4;
/// Two numbers for rows in memory, one per side.
const SEGMENT_MEMORY: u32 = SEGMENTS_MAX;

/// A place in the value log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

/// Which of two windows: the active and the frozen one take turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Side {
    #[default]
    Even,
    Odd,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        if self == Self::Even { Self::Odd } else { Self::Even }
    }
}

/// A row of a window: which window, and where in its buffer, in units of [`super::window::UNIT`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) side: Side,
    pub(crate) at: u32,
}

/// What a [`Packed`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    Disk(Place),
    Memory(Spot),
    /// On disk at one of several places whose keys have the same tag.
    Unclear,
    Nowhere,
}

/// [`Whereabouts`] in 48 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed(pub(crate) [u8; 6]);

impl Packed {
    pub(crate) const NOWHERE: Self = Self([0xff; 6]);
    pub(crate) const UNCLEAR: Self = Self([0xff, 0xff, 0xff, 0xef, 0xff, 0xff]);

    pub(crate) fn place(self) -> Option<Place> {
        if let Whereabouts::Disk(place) = self.whereabouts() { Some(place) } else { None }
    }

    pub(crate) fn whereabouts(self) -> Whereabouts {
        let mut bytes = [0; 8];
        bytes[..6].copy_from_slice(&self.0);
        let bits = u64::from_le_bytes(bytes);
        let (segment, offset) = ((bits >> OFFSET_BITS) as u32, bits as u32 & (SEGMENT_BYTES_MAX as u32 - 1));
        match segment.checked_sub(SEGMENT_MEMORY) {
            None => Whereabouts::Disk(Place { segment, offset }),
            Some(0) => Whereabouts::Memory(Spot { side: Side::Even, at: offset }),
            Some(1) => Whereabouts::Memory(Spot { side: Side::Odd, at: offset }),
            Some(2) => Whereabouts::Unclear,
            Some(_) => Whereabouts::Nowhere,
        }
    }
}

impl From<Spot> for Packed {
    fn from(spot: Spot) -> Self {
        let segment = SEGMENT_MEMORY + u32::from(spot.side == Side::Odd);
        Place { segment, offset: spot.at }.into()
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
        place.map_or(Self::NOWHERE, Self::from)
    }
}

/// The newest version of one row: 14 bytes.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    tag: [u8; 8],
    /// On disk or in memory.
    packed: Packed,
}

impl Slot {
    pub(crate) const BYTES: usize = 14;
    pub(crate) fn new(tag: u64, at: impl Into<Packed>) -> Self {
        Self { tag: tag.to_le_bytes(), packed: at.into() }
    }

    pub(crate) fn tag(&self) -> u64 {
        u64::from_le_bytes(self.tag)
    }

    pub(crate) fn whereabouts(&self) -> Whereabouts {
        self.packed.whereabouts()
    }

    /// Where the row is on disk, if its newest version is there.
    pub(crate) fn place(&self) -> Option<Place> {
        self.packed.place()
    }

    pub(crate) fn is(&self, tag: u64, at: impl Into<Packed>) -> bool {
        self.packed == at.into() && self.tag() == tag
    }

    pub(crate) fn set(&mut self, at: impl Into<Packed>) {
        self.packed = at.into();
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.tag);
        out.extend_from_slice(&self.packed.0);
    }

    /// Reads a slot that says where a row is on disk.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (tag, place) = bytes.split_first_chunk::<8>()?;
        let packed = Packed(*place.first_chunk::<6>()?);
        packed.place()?;
        Some(Self { tag: *tag, packed })
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
