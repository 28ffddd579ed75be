//! The versions of the CNI specification that we speak, and which verb each knows.

use api::netconf::VERSIONS;

/// A supported version, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 0.3.1: ADD, DEL, VERSION.
    V0_3_1,
    /// 0.4.0: adds CHECK and `prevResult` on DEL.
    V0_4_0,
    /// 1.0.0: drops `ips[].version`.
    V1_0_0,
    /// 1.1.0: adds STATUS and GC, and more fields in the result.
    V1_1_0,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Self; 4] = [Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];

    /// The newest, which an error carries when the request named none that we know.
    pub const NEWEST: Self = Self::V1_1_0;

    /// As it stands in JSON.
    pub fn as_str(self) -> &'static str {
        VERSIONS[self as usize]
    }

    /// The version of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_variants_agree() {
        let names: Vec<String> = Version::ALL.iter().map(|v| format!("{v:?}")).collect();
        let expected: Vec<String> = VERSIONS.iter().map(|v| format!("V{}", v.replace('.', "_"))).collect();
        assert_eq!(names, expected);
        assert!(Version::V0_3_1 < Version::V0_4_0 && Version::V1_0_0 < Version::NEWEST);
    }

    #[test]
    fn only_exact_names_parse() {
        for version in Version::ALL {
            assert_eq!(Version::parse(version.as_str()), Some(version));
        }
        for text in ["", "1.1", "0.3.0", "1.1.0 ", "2.0.0"] {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
    }
}
