//! Images, and the local programs that stand for them.
//!
//! Under containerlab a node runs its image; here it runs the program that the image holds, from this build or from
//! a Debian package. `cmd` overrides the image's arguments as Docker does it: the entry point stays.

/// What an image is to this runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// `underlay`, from this build.
    Underlay,
    /// BIRD 2, from the Debian package `bird2`.
    Bird,
    /// A host with tools and no program of its own; `cmd` is the program to run.
    Host,
}

/// A program to run in a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its name, looked up in the build first and on `PATH` then.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
}

/// Repositories by name, whatever the tag. A registry's host or an owner in front does not matter.
const KNOWN: [(&str, Image); 6] = [
    ("underlay", Image::Underlay),
    ("bird", Image::Bird),
    ("linux", Image::Host),
    ("alpine", Image::Host),
    ("busybox", Image::Host),
    ("debian", Image::Host),
];

impl Image {
    /// The meaning of an image's name.
    ///
    /// # Errors
    /// The names that are known, where this one is not.
    pub fn known(image: &str) -> Result<Self, String> {
        let last = image.rsplit('/').next().unwrap_or(image);
        let repository = last.split([':', '@']).next().unwrap_or(last);
        let found = KNOWN.iter().find(|(name, _)| *name == repository);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let names: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
            format!("image `{image}` has no local program; known are {}", names.join(", "))
        })
    }

    /// What a node with this image runs, with the words of its `cmd`.
    ///
    /// # Errors
    /// An image that does nothing without a `cmd`.
    pub fn run(self, cmd: Option<Vec<String>>) -> Result<Option<Run>, String> {
        match (self, cmd) {
            (Self::Underlay, Some(args)) => Ok(Some(Run { program: "underlay".into(), args })),
            (Self::Underlay, None) => {
                Err("image `underlay` needs a `cmd`, such as `agent --node NAME`".into())
            }
            (Self::Bird, args) => {
                let default = || ["-f", "-c", "/etc/bird/bird.conf"].map(String::from).to_vec();
                Ok(Some(Run { program: "bird".into(), args: args.unwrap_or_else(default) }))
            }
            (Self::Host, None) => Ok(None),
            (Self::Host, Some(mut words)) => {
                let args = words.split_off(1);
                Ok(words.pop().map(|program| Run { program, args }))
            }
        }
    }
}
