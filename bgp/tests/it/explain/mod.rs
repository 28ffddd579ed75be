//! Explanations against what the books say: whatever peers send and whatever is
//! configured, the word for each path and each peer is the one that the RFCs'
//! text, read by [`book`], gives for it.

pub(crate) mod book;
mod desk;
mod draw;
mod property;
mod witness;
