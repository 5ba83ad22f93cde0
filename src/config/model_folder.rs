//! Where the model lies.

use std::path::Path;

/// The folder where it is named, else beside the program, above it, or in `home`: so that the shipped model is found from
/// anywhere. A folder that is nowhere stays as it is, for the error to name.
pub(super) fn found(named: &str, home: Option<&str>, program: Option<&Path>) -> String {
    let folder = Path::new(named);
    if folder.is_absolute() || folder.exists() {
        return named.into();
    }
    let beside = program.and_then(Path::parent).into_iter().flat_map(|folder| folder.ancestors().take(3));
    let mut homes = home.map(Path::new).into_iter().chain(beside).map(|home| home.join(folder));
    homes.find(|path| path.join("manifest.json").exists()).map_or(named.into(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_model_is_found_beside_the_program_and_in_its_home() {
        let home = std::env::temp_dir().join(format!("assay-home-{}", uuid::Uuid::new_v4()));
        let folder = home.join("somewhere/small");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("manifest.json"), "{}").unwrap();
        let expected = folder.display().to_string();
        assert_eq!(found("somewhere/small", home.to_str(), Some(Path::new("/nowhere/assay"))), expected);
        assert_eq!(found("somewhere/small", None, Some(&home.join("target/release/assay"))), expected);
        assert_eq!(found("somewhere/small", None, Some(Path::new("/nowhere/assay"))), "somewhere/small");
        std::fs::remove_dir_all(&home).unwrap();
    }
}
