//! The paths of prefixes that have more than one: arrays in size classes, cut
//! from chunks of some 16 KiB, so that growing copies one array and never the pool.

use super::path::Path;

/// Paths a chunk, unless one array is larger.
const CHUNK: usize = 2048;

/// Capacities 2, 3, 4, 6, 8, 12, 16, 24 and so on: at most a third is slack.
const fn capacity(class: u8) -> usize {
    let base = if class.is_multiple_of(2) { 2 } else { 3 };
    base << (class / 2)
}

/// The number of classes: the last one holds a path of every source.
const CLASSES: usize = 32;

#[derive(Clone, Debug, Default)]
struct Class {
    chunks: Vec<Box<[Path]>>,
    used: u32,
    free: Vec<u32>,
}

/// The place of an array: a size class and a number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) class: u8,
    pub(super) number: u32,
}

impl Block {
    /// Where the array lies: the chunk, and the first path in it.
    const fn place(self) -> (usize, usize) {
        let capacity = capacity(self.class);
        let arrays = per_chunk(capacity);
        (self.number as usize / arrays, self.number as usize % arrays * capacity)
    }

    pub(super) const fn capacity(self) -> usize {
        capacity(self.class)
    }
}

const fn per_chunk(capacity: usize) -> usize {
    if capacity >= CHUNK { 1 } else { CHUNK / capacity }
}

#[derive(Clone, Debug)]
pub(super) struct Pool {
    classes: [Class; CLASSES],
}

impl Pool {
    pub(super) fn new() -> Self {
        Self { classes: core::array::from_fn(|_| Class::default()) }
    }

    /// An array of a class; what is in it is left from its last use.
    pub(super) fn take(&mut self, class: u8) -> Block {
        let slab = &mut self.classes[usize::from(class)];
        let number = slab.free.pop().unwrap_or_else(|| {
            slab.used += 1;
            slab.used - 1
        });
        let block = Block { class, number };
        if block.place().0 == slab.chunks.len() {
            let capacity = capacity(class);
            slab.chunks.push(vec![Path::default(); per_chunk(capacity) * capacity].into_boxed_slice());
        }
        block
    }

    /// Gives an array back; a class beyond one chunk of which nothing is in use gives its memory back.
    pub(super) fn give(&mut self, block: Block) {
        let slab = &mut self.classes[usize::from(block.class)];
        slab.free.push(block.number);
        if slab.chunks.len() > 1 && slab.free.len() == slab.used as usize {
            *slab = Class::default();
        }
    }

    /// The whole array of a block.
    pub(super) fn paths(&self, block: Block) -> &[Path] {
        let (chunk, start) = block.place();
        &self.classes[usize::from(block.class)].chunks[chunk][start..start + block.capacity()]
    }

    pub(super) fn paths_mut(&mut self, block: Block) -> &mut [Path] {
        let (chunk, start) = block.place();
        &mut self.classes[usize::from(block.class)].chunks[chunk][start..start + block.capacity()]
    }

    /// Moves the first `len` paths to an array of another class.
    pub(super) fn resize(&mut self, block: Block, len: usize, class: u8) -> Block {
        let new = self.take(class);
        let (from, from_start) = block.place();
        let (to, to_start) = new.place();
        for at in 0..len {
            let path = self.classes[usize::from(block.class)].chunks[from][from_start + at];
            self.classes[usize::from(class)].chunks[to][to_start + at] = path;
        }
        self.give(block);
        new
    }
}
