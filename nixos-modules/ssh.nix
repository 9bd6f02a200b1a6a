# sshd with the rendered settings; host key and authorized key come with the seed.
{ lib, pkgs, ... }:
{
  services.openssh = {
    enable = true;
    # Host keys made at first boot would change with every image, and nobody pins them.
    generateHostKeys = false;
    hostKeys = [
      {
        path = "/run/pgha/ssh/ssh_host_ed25519_key";
        type = "ed25519";
      }
    ];
  };
  # In sshd the first value wins, and nixpkgs writes its own before `extraConfig`: so the whole file is ours.
  environment.etc."ssh/sshd_config".source = lib.mkForce (
    pkgs.writeText "sshd_config" ''
      Include /etc/ssh/sshd_config.d/*.conf
      UsePAM yes
      Subsystem sftp internal-sftp
    ''
  );
  # A node has no users: a session of logind and a user's systemd for each login would only cost.
  security.pam.services.sshd.startSession = lib.mkForce false;
  # Debian's name, under which the contract and the rendered drop-in know it.
  systemd.services.sshd.aliases = [ "ssh.service" ];
}
