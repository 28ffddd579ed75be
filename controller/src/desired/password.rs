//! The key of a peer, out of the Secret that its FabricPeer names.

use api::crd::peer::SecretKeyRef;

use crate::cluster::object::Objects;
use crate::transport::Password;

/// The key.
///
/// # Errors
/// What of it is missing, in words; never a value.
pub(super) fn password(objects: &Objects, wanted: &SecretKeyRef) -> Result<Password, String> {
    let SecretKeyRef { name, key } = wanted;
    let secret = objects.secrets.get(name).ok_or_else(|| format!("Secret \"{name}\" is missing"))?;
    let value = secret.value.value(key);
    let value = value.ok_or_else(|| format!("Secret \"{name}\" has no key `{key}`"))?;
    Password::new(value).map_err(|error| format!("key `{key}` of Secret \"{name}\" {error}"))
}
