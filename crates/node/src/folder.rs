//! Folders that only their owner may look into.

use std::path::Path;

/// Makes a folder, and those above it that are missing, that nobody but the owner can read (mode 0700, as Bitcoin Core does by its
/// umask). A folder that exists is left as it is: its owner may want it otherwise.
///
/// # Errors
/// What the system says.
pub fn make_private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("the folder is ours").permissions().mode() & 0o777
    }

    #[test]
    fn new_folders_are_the_owners_alone_and_others_stay_as_they_are() {
        let place = tempfile::tempdir().expect("there is a temporary folder");
        let (above, folder) = (place.path().join("above"), place.path().join("above/data"));
        make_private_folder(&folder).expect("the folder is ours");
        assert_eq!((mode(&above), mode(&folder)), (0o700, 0o700));
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))
            .expect("the folder is ours");
        make_private_folder(&folder).expect("the folder is ours");
        assert_eq!(mode(&folder), 0o755);
    }
}
