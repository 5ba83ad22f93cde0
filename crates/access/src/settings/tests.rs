use super::*;

const OIDC: &str = r#"
    [oidc]
    issuer = "https://issuer.example/realm"
    client_id = "assay"
    redirect_url = "https://console.example/login/callback"
"#;

fn read(text: &str) -> Result<Settings, String> {
    let settings: Settings = toml::from_str(text).map_err(|error| error.to_string())?;
    settings.validate().map(|()| settings)
}

fn secret(text: &str) -> String {
    let path = std::env::temp_dir().join(format!("assay-access-{}", uuid::Uuid::new_v4()));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().into()
}

#[test]
fn what_is_left_out_lets_nobody_in() {
    let settings = read("").unwrap();
    assert!(!settings.oidc.is_there() && !settings.proxy.is_there() && settings.roles.is_empty());
    assert_eq!((settings.session_hours, settings.idle_minutes, settings.tokens_max_days), (12, 60, 90));
}

#[test]
fn a_whole_section_is_read() {
    let file = secret("0123456789abcdef\n");
    let text = format!(
        r#"session_hours = 8
           {OIDC}
           client_secret_file = "{file}"
           [proxy]
           from = ["10.0.0.0/8", "fd00::/8"]
           secret_file = "{file}"
           secret_header = "X-Assay-Secret"
           user_header = "X-Assay-User"
           groups_header = "X-Assay-Groups"
           [[roles]]
           group = "moderators"
           role = "reviewer"
           tenants = ["acme"]
           [[roles]]
           person = "https://issuer.example/realm 248289761001"
           role = "admin"
           tenants = ["*"]"#
    );
    let settings = read(&text).unwrap();
    assert_eq!((settings.roles.len(), settings.roles[1].role), (2, Role::Admin));
    assert_eq!(read_secret("k", &file).unwrap(), "0123456789abcdef");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn what_is_wrong_is_named_by_its_key() {
    let (short, lines) = (secret("short"), secret("one\ntwo"));
    let proxy = |rest: &str| {
        format!("[proxy]\nsecret_file = \"{short}\"\nuser_header = \"X-U\"\nsecret_header = \"X-S\"\n{rest}")
    };
    let rule = |rest: &str| format!("[[roles]]\nrole = \"lead\"\n{rest}");
    for (text, key) in [
        ("session_hours = 0".to_string(), "access.session_hours"),
        ("idle_minutes = 1".into(), "access.idle_minutes"),
        ("tokens_max_days = 4000".into(), "access.tokens_max_days"),
        (OIDC.replace("https://issuer", "http://issuer"), "access.oidc.issuer"),
        (OIDC.replace("\"assay\"", "\"\""), "access.oidc.client_id"),
        (OIDC.replace("/login/callback", "/callback"), "access.oidc.redirect_url"),
        (OIDC.replace("https://console", "http://console"), "access.oidc.redirect_url"),
        (format!("{OIDC}groups_claim = \"\""), "access.oidc.groups_claim"),
        (format!("{OIDC}scopes = [\"a b\"]"), "access.oidc.scopes"),
        (format!("{OIDC}client_secret_file = \"/no/such\""), "access.oidc.client_secret_file"),
        (format!("{OIDC}client_secret_file = \"{lines}\""), "access.oidc.client_secret_file"),
        (format!("{OIDC}ca_file = \"/no/such\""), "access.oidc.ca_file"),
        (proxy(""), "access.proxy.from"),
        (proxy("from = [\"0.0.0.0/0\"]"), "access.proxy.from"),
        (proxy("from = [\"10.0.0.0/8\"]"), "access.proxy.secret_file"),
        (proxy("from = [\"10.0.0.0/8\"]\ngroups_header = \"x-u\""), "access.proxy names one header twice"),
        (proxy("from = [\"10.0.0.0/8\"]\ngroups_header = \"Cookie\""), "access.proxy.groups_header"),
        (rule("tenants = [\"acme\"]"), "access.roles (number 1)"),
        (rule("group = \"a\"\nperson = \"b\"\ntenants = [\"acme\"]"), "access.roles (number 1)"),
        (rule("group = \"a\"\ntenants = []"), "access.roles (number 1)"),
        (rule("group = \"a\"\ntenants = [\"*\", \"acme\"]"), "access.roles (number 1)"),
        (rule("group = \"a\"\ntenants = [\"ac me\"]"), "access.roles (number 1)"),
        (rule("group = \"a\"\ntenants = [\"acme\"]\nrank = 1"), "rank"),
        ("sessions = 1".into(), "sessions"),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.contains(key) && !error.contains("0123456789abcdef"), "{text}: {error}");
    }
    for file in [short, lines] {
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn plain_http_is_for_loopback() {
    for good in ["https://a.example", "http://127.0.0.1:3000", "http://localhost/x", "http://[::1]:1/"] {
        assert!(is_protected(good), "{good}");
    }
    for bad in ["http://a.example", "http://10.0.0.1", "https://user:word@a.example", "ftp://127.0.0.1", "a", ""] {
        assert!(!is_protected(bad), "{bad}");
    }
}
