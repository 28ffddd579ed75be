//! Facts as short words for people.

use api::v1;

/// An age as `48s`, `5m02s`, `3h12m` or `12d03h`.
#[must_use]
pub fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// An AS_PATH as `65000 65001 {65010 65011}`; nothing for an empty one.
#[must_use]
pub fn as_path(attributes: Option<&v1::PathAttributes>) -> String {
    let segments = attributes.map(|attributes| attributes.as_path.as_slice()).unwrap_or_default();
    let segments = segments.iter().map(|segment| {
        let asns: Vec<String> = segment.asns.iter().map(ToString::to_string).collect();
        match segment.kind() {
            v1::AsPathSegmentKind::Set => format!("{{{}}}", asns.join(" ")),
            _ => asns.join(" "),
        }
    });
    segments.collect::<Vec<String>>().join(" ")
}

/// A peer as `tor1 10.0.2.1`.
#[must_use]
pub fn peer(peer: &v1::PeerSource) -> String {
    format!("{} {}", peer.name, peer.address)
}

/// Who a path comes from or goes to, with its Path Identifier where it has one: `tor1#7`.
#[must_use]
pub fn with_path_id(peer: &str, id: Option<u32>) -> String {
    id.map_or_else(|| peer.to_owned(), |id| format!("{peer}#{id}"))
}

/// A number, or nothing.
#[must_use]
pub fn number(number: Option<impl ToString>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

/// The word of an enum's value: `SESSION_STATE_OPEN_SENT` without its prefix
/// becomes `OpenSent`; abbreviations keep their capitals.
#[must_use]
pub fn word(value: &str, prefix: &str) -> String {
    let value = value.strip_prefix(prefix).unwrap_or(value);
    match value {
        "IPV4" => return "IPv4".to_owned(),
        "IPV6" => return "IPv6".to_owned(),
        "IGP" | "EGP" => return value.to_owned(),
        _ => {}
    }
    let mut word = String::with_capacity(value.len());
    let mut upper = true;
    for letter in value.chars() {
        match letter {
            '_' => upper = true,
            _ if upper => {
                word.push(letter);
                upper = false;
            }
            _ => word.push(letter.to_ascii_lowercase()),
        }
    }
    word
}

/// The word of a session's state, as the RFC writes it.
#[must_use]
pub fn state(peer: &v1::Peer) -> String {
    word(peer.state().as_str_name(), "SESSION_STATE_")
}

/// The word of a family.
#[must_use]
pub fn family(family: v1::AddressFamily) -> String {
    word(family.as_str_name(), "ADDRESS_FAMILY_")
}

/// `IPv4 both, IPv6 receive`: in which directions several paths of a prefix go (RFC 7911).
#[must_use]
pub fn add_path(families: &[v1::AddPathFamily]) -> String {
    let one = |of: &v1::AddPathFamily| {
        let ways = match (of.receive, of.send) {
            (true, true) => "both",
            (true, false) => "receive",
            _ => "send",
        };
        format!("{} {ways}", family(of.family()))
    };
    families.iter().map(one).collect::<Vec<String>>().join(", ")
}

/// Text from the network and from files, as a terminal shows it and does not
/// obey it: control characters are written out.
#[must_use]
pub fn printable(text: &str) -> String {
    let letter = |letter: char| {
        let plain = !letter.is_control();
        plain
            .then_some(letter)
            .into_iter()
            .chain((!plain).then(|| letter.escape_default()).into_iter().flatten())
    };
    text.chars().flat_map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units() {
        let ages = [0, 48, 59, 60, 302, 3599, 3600, 11_520, 86_399, 86_400, 1_047_600].map(age);
        let expected =
            ["0s", "48s", "59s", "1m00s", "5m02s", "59m59s", "1h00m", "3h12m", "23h59m", "1d00h", "12d03h"];
        assert_eq!(ages, expected);
    }

    #[test]
    fn enum_values_become_words() {
        let of = |value| word(value, "SESSION_STATE_");
        assert_eq!(
            ["SESSION_STATE_IDLE", "SESSION_STATE_OPEN_SENT", "IPV6", "IGP"].map(of),
            ["Idle", "OpenSent", "IPv6", "IGP"]
        );
    }

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(printable("tor\x1b[31m\nü"), "tor\\u{1b}[31m\\nü");
    }
}
