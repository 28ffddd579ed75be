//! Fields that are designed and not built. They are refused by name: a field
//! that is silently ignored looks like one that works.

/// A field's path below `spec`, element by element.
pub type Path = &'static [&'static str];

/// Pending fields of `Fabric`.
pub const FABRIC: &[Path] = &[];

/// Pending fields of `FabricPeer`.
pub const FABRIC_PEER: &[Path] = &[];

/// The pending fields of a kind.
#[must_use]
pub fn fields(kind: &str) -> &'static [Path] {
    match kind {
        "Fabric" => FABRIC,
        "FabricPeer" => FABRIC_PEER,
        _ => &[],
    }
}

/// What is said of a pending field of an object.
#[must_use]
pub fn refusal(kind: &str, name: &str, path: &[&str]) -> String {
    format!("field `{}` of {kind} \"{name}\" is not implemented yet", path.join("."))
}
