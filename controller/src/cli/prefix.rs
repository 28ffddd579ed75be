//! A prefix on the command line.

use std::str::FromStr;

use bgp::prefix::{ParsePrefixError, Prefix};

/// A prefix, and the text that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixArg {
    /// The prefix, without host bits.
    pub prefix: Prefix,
    text: String,
}

impl FromStr for PrefixArg {
    type Err = ParsePrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self { prefix: text.parse()?, text: text.to_owned() })
    }
}

impl PrefixArg {
    /// A hint if the text has bits beyond its length, which the prefix has not.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let (address, _) = self.text.split_once('/')?;
        let same = address.parse() == Ok(self.prefix.address());
        (!same).then(|| format!("{} has bits beyond its length: showing {}", self.text, self.prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_bits_are_pointed_out() {
        let hint = |text: &str| text.parse::<PrefixArg>().expect("a prefix").hint();
        assert_eq!(hint("10.244.3.0/24"), None);
        assert_eq!(hint("FD00:0:0::/48"), None);
        assert_eq!(
            hint("10.244.3.7/24").as_deref(),
            Some("10.244.3.7/24 has bits beyond its length: showing 10.244.3.0/24")
        );
    }
}
