//! One prefix of a table: the packed prefix, the kernel's next-hop set, flags,
//! and its one path or the place of several.

use super::key::Key;
use super::path::Path;
use super::pool::Block;
use crate::io::SetId;

/// The states of an entry, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::rib) struct Flags(u8);

impl Flags {
    /// The slot is in use.
    pub(super) const USED: Self = Self(1 << 0);
    /// The entry has several paths.
    pub(super) const MANY: Self = Self(1 << 1);
    /// The decision is to run.
    pub(in crate::rib) const DIRTY: Self = Self(1 << 2);
    /// What is advertised may have changed, and was not handed out yet.
    pub(in crate::rib) const CHANGED: Self = Self(1 << 3);
    /// A change was given to the kernel and not acknowledged.
    pub(in crate::rib) const PENDING: Self = Self(1 << 4);
    /// The kernel confirmed a route since the prefix was last without one.
    pub(in crate::rib) const INSTALLED: Self = Self(1 << 5);
    /// The kernel rejected the newest change; the errno is in the side table.
    pub(in crate::rib) const FAILED: Self = Self(1 << 6);
    /// The decision that is to run may wait for more paths.
    pub(in crate::rib) const WAITING: Self = Self(1 << 7);
}

/// One prefix.
#[derive(Clone, Copy, Debug)]
pub struct Entry<K: Key> {
    bits: K::Bits,
    /// The wanted [`SetId`] plus one; zero for none.
    set: u32,
    /// The one path; or, of several, the block's number in `attrs`, how many
    /// there are in `source`, the block's class in `flags`.
    head: Path,
    len: u8,
    flags: Flags,
    pins: u16,
}

impl<K: Key> Default for Entry<K> {
    fn default() -> Self {
        Self {
            bits: K::Bits::default(),
            set: 0,
            head: Path::default(),
            len: 0,
            flags: Flags::default(),
            pins: 0,
        }
    }
}

impl<K: Key> Entry<K> {
    pub(super) fn new(key: K) -> Self {
        Self { bits: key.bits(), len: key.length(), flags: Flags::USED, ..Self::default() }
    }

    /// The prefix.
    pub(in crate::rib) fn key(&self) -> K {
        K::from_parts(self.bits, self.len)
    }

    pub(super) fn holds(&self, key: K) -> bool {
        self.bits == key.bits() && self.len == key.length()
    }

    /// Whether one of these bits is set.
    pub(in crate::rib) const fn has(&self, flags: Flags) -> bool {
        self.flags.0 & flags.0 != 0
    }

    pub(in crate::rib) const fn set_flag(&mut self, flag: Flags) {
        self.flags.0 |= flag.0;
    }

    pub(in crate::rib) const fn clear_flag(&mut self, flag: Flags) {
        self.flags.0 &= !flag.0;
    }

    /// The set that the kernel is to hold.
    pub(in crate::rib) const fn set(&self) -> Option<SetId> {
        match self.set.checked_sub(1) {
            Some(set) => Some(SetId(set)),
            None => None,
        }
    }

    /// Names the set that the kernel is to hold. Set numbers stay below 2³² − 1.
    pub(in crate::rib) const fn want_set(&mut self, set: Option<SetId>) {
        self.set = match set {
            Some(SetId(set)) => set + 1,
            None => 0,
        };
    }

    /// Keeps the entry from being freed; 65 535 pins hold it for good.
    pub(in crate::rib) const fn pin(&mut self) {
        self.pins = self.pins.saturating_add(1);
    }

    pub(in crate::rib) const fn unpin(&mut self) {
        if self.pins != u16::MAX {
            self.pins = self.pins.saturating_sub(1);
        }
    }

    /// Whether nothing is known, wanted or awaited of the prefix.
    pub(in crate::rib) const fn is_vacant(&self) -> bool {
        let busy = Flags(Flags::DIRTY.0 | Flags::PENDING.0);
        self.is_empty() && self.set == 0 && self.pins == 0 && !self.has(busy)
    }

    /// Whether there is no path.
    pub(in crate::rib) const fn is_empty(&self) -> bool {
        !self.has(Flags::MANY) && self.head.attrs == 0
    }

    pub(super) const fn one(&self) -> &Path {
        &self.head
    }

    pub(super) const fn one_mut(&mut self) -> &mut Path {
        &mut self.head
    }

    /// The array of several paths, and how many there are.
    pub(super) const fn many(&self) -> Option<(Block, usize)> {
        if !self.has(Flags::MANY) {
            return None;
        }
        Some((Block { class: self.head.flags, number: self.head.attrs }, self.head.source as usize))
    }

    pub(super) const fn set_one(&mut self, path: Path) {
        self.head = path;
        self.clear_flag(Flags::MANY);
    }

    pub(super) const fn set_many(&mut self, block: Block, len: usize) {
        self.head = Path { attrs: block.number, source: len as u16, flags: block.class, verdict: 0 };
        self.set_flag(Flags::MANY);
    }
}
