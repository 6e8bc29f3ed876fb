//! Classifies the text of a private key before connecting. Pure. Does not parse the secret part.

/// Kind of a file given as private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyForm {
    /// A key without a passphrase.
    Plain,
    /// A key that needs a passphrase, or an agent that holds it.
    Encrypted,
    /// The public half, usable with an agent that holds the private half.
    Public,
    Putty,
    /// Another format.
    Other,
}

/// `openssh-key-v1`, NUL, in base64. The length and name of the cipher follow.
const MAGIC: &str = "b3BlbnNzaC1rZXktdjEA";
/// The length and name of the cipher `none`.
const NO_CIPHER: &str = "AAAABG5vbmU";

/// Classifies a key by its PEM armour and header.
pub(super) fn form(text: &str) -> KeyForm {
    let mut lines = text.lines().map(str::trim).skip_while(|line| line.is_empty());
    let first = lines.next().unwrap_or_default();
    let next = lines.next().unwrap_or_default();
    match first.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix(" PRIVATE KEY-----")) {
        Some("OPENSSH") => match next.strip_prefix(MAGIC) {
            Some(rest) if rest.starts_with(NO_CIPHER) => KeyForm::Plain,
            Some(_) => KeyForm::Encrypted,
            None => KeyForm::Other,
        },
        Some("ENCRYPTED") => KeyForm::Encrypted,
        Some(_) if next.starts_with("Proc-Type:") && next.contains("ENCRYPTED") => KeyForm::Encrypted,
        Some("RSA" | "EC" | "DSA") => KeyForm::Plain,
        // The armour of an unencrypted PKCS#8 key has no first word.
        _ if first == "-----BEGIN PRIVATE KEY-----" => KeyForm::Plain,
        _ if first.starts_with("PuTTY-User-Key-File") => KeyForm::Putty,
        _ if public(first).is_some() => KeyForm::Public,
        _ => KeyForm::Other,
    }
}

/// Returns `TYPE BASE64` of a line that holds a public key.
pub fn public(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let (kind, blob) = (words.next()?, words.next()?);
    let known = ["ssh-", "ecdsa-", "sk-"].iter().any(|start| kind.starts_with(start));
    (known && blob.starts_with("AAAA")).then(|| format!("{kind} {blob}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_forms_apart() {
        let cases = [
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ\n", KeyForm::Plain),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\r\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ\r\n", KeyForm::Plain),
            (
                "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0\n",
                KeyForm::Encrypted,
            ),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n", KeyForm::Other),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n", KeyForm::Plain),
            ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n", KeyForm::Encrypted),
            ("-----BEGIN EC PRIVATE KEY-----\nMHcC\n", KeyForm::Plain),
            ("-----BEGIN PRIVATE KEY-----\nMIIE\n", KeyForm::Plain),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIE\n", KeyForm::Encrypted),
            ("PuTTY-User-Key-File-3: ssh-ed25519\n", KeyForm::Putty),
            ("ssh-ed25519 AAAAC3Nz me@here\n", KeyForm::Public),
            ("-----BEGIN CERTIFICATE-----\nMIIE\n", KeyForm::Other),
            ("ssh-nonsense\n", KeyForm::Other),
            ("", KeyForm::Other),
        ];
        for (text, form_expected) in cases {
            assert_eq!(form(text), form_expected, "{text}");
        }
    }
}
