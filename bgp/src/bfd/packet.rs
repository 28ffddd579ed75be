//! Control packets (RFC 5880 §4.1), and the checks that need no session (§6.8.6).

use core::fmt;

use crate::time::Duration;

/// Octets without an authentication section.
const LEN: usize = 24;

/// The only version.
const VERSION: u8 = 1;

const POLL: u8 = 1 << 5;
const FINAL: u8 = 1 << 4;
const INDEPENDENT: u8 = 1 << 3;
const AUTHENTICATED: u8 = 1 << 2;
const DEMAND: u8 = 1 << 1;
const MULTIPOINT: u8 = 1;

/// The state of one end (RFC 5880 §4.1, `Sta`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum State {
    /// Held down on purpose; says nothing of the way between.
    AdminDown = 0,
    /// No session, or none yet.
    #[default]
    Down = 1,
    /// The peer is heard and has not said that it hears us.
    Init = 2,
    /// Both hear each other.
    Up = 3,
}

impl State {
    /// The state's name in the RFC.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        }
    }

    const fn of(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }
}

/// Why an end last left Up (RFC 5880 §4.1, `Diag`): five bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Diagnostic(pub u8);

impl Diagnostic {
    /// Nothing to tell.
    pub const NONE: Self = Self(0);
    /// Nothing was heard for the detection time.
    pub const DETECTION_TIME_EXPIRED: Self = Self(1);
    /// The peer said that it is down.
    pub const NEIGHBOR_SIGNALED_DOWN: Self = Self(3);
    /// Held down on purpose.
    pub const ADMINISTRATIVELY_DOWN: Self = Self(7);

    /// In a few words.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self.0 {
            0 => "no diagnostic",
            1 => "control detection time expired",
            2 => "echo function failed",
            3 => "neighbor signaled session down",
            4 => "forwarding plane reset",
            5 => "path down",
            6 => "concatenated path down",
            7 => "administratively down",
            8 => "reverse concatenated path down",
            _ => "a diagnostic that nobody has named",
        }
    }
}

/// A control packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Why the sender last left Up.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// P: the sender wants an answer at once.
    pub poll: bool,
    /// F: the answer to a poll.
    pub last: bool,
    /// C: the sender's BFD lives on where its control plane does not.
    pub independent: bool,
    /// D: the sender wants no periodic packets while both are Up.
    pub demand: bool,
    /// How many packets may be missed; not 0.
    pub multiplier: u8,
    /// The sender's discriminator; not 0.
    pub my: u32,
    /// The receiver's discriminator as far as the sender knows it, else 0.
    pub your: u32,
    /// Shortest interval at which the sender wants to send.
    pub desired_min_tx: Duration,
    /// Shortest interval at which it wants to receive; zero for not at all.
    pub required_min_rx: Duration,
    /// Shortest interval between echo packets that it sends back; zero for none.
    pub required_min_echo_rx: Duration,
}

/// Why a packet is discarded (RFC 5880 §6.8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// Shorter than a control packet, or than its own length says.
    Truncated,
    /// Not version 1.
    Version(u8),
    /// A length field below the shortest.
    Length(u8),
    /// A detection multiplier of 0.
    Multiplier,
    /// The reserved multipoint bit.
    Multipoint,
    /// A discriminator of 0.
    Discriminator,
    /// No discriminator of ours from a peer that claims to hear us.
    Unaddressed,
    /// Another session's discriminator.
    NotOurs(u32),
    /// Authentication, which is not in use.
    Authenticated,
    /// The session is administratively down.
    AdminDown,
}

impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the packet is shorter than it says"),
            Self::Version(version) => write!(f, "version {version}, not 1"),
            Self::Length(length) => write!(f, "length {length}, at least 24 are needed"),
            Self::Multiplier => f.write_str("detection multiplier 0"),
            Self::Multipoint => f.write_str("the multipoint bit is set"),
            Self::Discriminator => f.write_str("discriminator 0"),
            Self::Unaddressed => f.write_str("no discriminator of ours in state Init or Up"),
            Self::NotOurs(discriminator) => write!(f, "discriminator {discriminator} is not this session's"),
            Self::Authenticated => f.write_str("authentication is not in use"),
            Self::AdminDown => f.write_str("the session is administratively down"),
        }
    }
}

impl Packet {
    /// The packet's octets, with C, A and M clear but for `independent`.
    #[must_use]
    pub fn encode(&self) -> [u8; LEN] {
        let mut octets = [0; LEN];
        octets[0] = VERSION << 5 | self.diagnostic.0 & 0x1f;
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        octets[1] = (self.state as u8) << 6
            | flag(self.poll, POLL)
            | flag(self.last, FINAL)
            | flag(self.independent, INDEPENDENT)
            | flag(self.demand, DEMAND);
        octets[2] = self.multiplier;
        octets[3] = LEN as u8;
        let spans = [self.desired_min_tx, self.required_min_rx, self.required_min_echo_rx];
        let words = [self.my, self.your].into_iter().chain(spans.map(microseconds));
        for (octets, word) in octets[4..].chunks_exact_mut(4).zip(words) {
            octets.copy_from_slice(&word.to_be_bytes());
        }
        octets
    }

    /// Reads a packet in the order of the checks of RFC 5880 §6.8.6, up to the one for a session.
    ///
    /// # Errors
    /// Why it is to be discarded.
    pub fn decode(octets: &[u8]) -> Result<Self, Discard> {
        let (head, rest) = octets.split_first_chunk::<4>().ok_or(Discard::Truncated)?;
        let &[first, flags, multiplier, length] = head;
        if first >> 5 != VERSION {
            return Err(Discard::Version(first >> 5));
        }
        // With authentication two more octets are the least.
        let least = if flags & AUTHENTICATED == 0 { LEN } else { LEN + 2 };
        if usize::from(length) < least {
            return Err(Discard::Length(length));
        }
        if usize::from(length) > octets.len() {
            return Err(Discard::Truncated);
        }
        let mut words = [0; 5];
        for (word, octets) in words.iter_mut().zip(rest.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*octets);
        }
        let [my, your, desired_min_tx, required_min_rx, required_min_echo_rx] = words;
        let state = State::of(flags >> 6);
        if multiplier == 0 {
            return Err(Discard::Multiplier);
        }
        if flags & MULTIPOINT != 0 {
            return Err(Discard::Multipoint);
        }
        if my == 0 {
            return Err(Discard::Discriminator);
        }
        if your == 0 && state > State::Down {
            return Err(Discard::Unaddressed);
        }
        if flags & AUTHENTICATED != 0 {
            return Err(Discard::Authenticated);
        }
        let span = |microseconds| Duration::from_micros(u64::from(microseconds));
        Ok(Self {
            diagnostic: Diagnostic(first & 0x1f),
            state,
            poll: flags & POLL != 0,
            last: flags & FINAL != 0,
            independent: flags & INDEPENDENT != 0,
            demand: flags & DEMAND != 0,
            multiplier,
            my,
            your,
            desired_min_tx: span(desired_min_tx),
            required_min_rx: span(required_min_rx),
            required_min_echo_rx: span(required_min_echo_rx),
        })
    }
}

fn microseconds(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}
