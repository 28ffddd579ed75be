//! Many agents at once, alone on the machine.

mod recording;
