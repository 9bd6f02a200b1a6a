# Declarations of the NixOS options our modules set, as far as we set them, with upstream's types. What upstream's modules
# define themselves is repeated where ours must override it, so that a missing mkForce fails here too.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  option = type: mkOption { inherit type; };
  optional = type: default: mkOption { inherit type default; };
  enable = optional types.bool false;
  failed = builtins.filter (assertion: !assertion.assertion) config.assertions;
  etcFile = types.submodule {
    options = {
      text = optional (types.nullOr types.lines) null;
      source = optional (types.nullOr types.path) null;
      enable = optional types.bool true;
    };
  };
in
{
  options = {
    assertions = optional (types.listOf types.raw) [ ];
    environment.etc = optional (types.attrsOf etcFile) { };
    environment.sessionVariables = optional (types.attrsOf types.str) { };
    boot.initrd.availableKernelModules = optional (types.listOf types.str) [ ];
    boot.initrd.supportedFilesystems = optional (types.listOf types.str) [ ];
    boot.kernelPackages = optional types.raw { kernel = pkgs.linux; };
    boot.kernelParams = optional (types.listOf types.str) [ ];
    boot.loader.grub.enable = optional types.bool true;
    boot.supportedFilesystems = optional (types.listOf types.str) [ ];
    documentation.enable = optional types.bool true;
    environment.defaultPackages = optional (types.listOf types.package) [ ];
    fileSystems = optional (types.attrsOf (
      types.submodule {
        options = {
          device = option types.str;
          fsType = option types.str;
          options = optional (types.listOf types.str) [ ];
          neededForBoot = enable;
          noCheck = enable;
        };
      }
    )) { };
    nix.enable = optional types.bool true;
    services.journald.enable = optional types.bool true;
    services.journald.storage = optional (types.enum [
      "persistent"
      "volatile"
      "auto"
      "none"
    ]) "persistent";
    networking.useNetworkd = enable;
    networking.useDHCP = optional types.bool true;
    networking.firewall.enable = optional types.bool true;
    networking.nftables.enable = enable;
    networking.hostName = optional types.str "nixos";
    nixpkgs.hostPlatform = option types.str;
    services.etcd = {
      inherit enable;
      name = optional types.str config.networking.hostName;
      dataDir = optional types.path "/var/lib/etcd";
      package = optional types.package pkgs.etcd;
    };
    services.haproxy = {
      inherit enable;
      config = optional (types.nullOr types.lines) null;
      package = optional types.package pkgs.haproxy;
    };
    services.openssh = {
      inherit enable;
      generateHostKeys = optional types.bool config.services.openssh.enable;
      hostKeys = optional (types.listOf types.raw) [ ];
    };
    services.patroni = {
      inherit enable;
      scope = option types.str;
      name = option types.str;
      nodeIp = option types.str;
      otherNodesIps = option (types.listOf types.str);
      postgresqlPackage = option types.package;
      postgresqlDataDir = option types.path;
      dataDir = optional types.path "/var/lib/patroni";
      user = optional types.str "patroni";
      group = optional types.str "patroni";
    };
    security.pam.services = optional (types.attrsOf (
      types.submodule { options.startSession = enable; }
    )) { };
    systemd.network.wait-online.enable = optional types.bool true;
    system.nixos.version = optional types.str "26.05.stub";
    system.stateVersion = option types.str;
    system.boot.loader.kernelFile = optional types.str "bzImage";
    system.boot.loader.initrdFile = optional types.str "initrd";
    system.switch.enable = optional types.bool true;
    system.build = optional (types.lazyAttrsOf types.raw) { };
    systemd.packages = optional (types.listOf types.package) [ ];
    systemd.tmpfiles.packages = optional (types.listOf types.package) [ ];
    systemd.services = optional (types.attrsOf (
      types.submodule {
        options = {
          aliases = optional (types.listOf types.str) [ ];
          path = optional (types.listOf types.package) [ ];
          postStart = optional types.lines "";
        };
      }
    )) { };
    systemd.targets = optional (types.attrsOf (
      types.submodule {
        options = {
          wants = optional (types.listOf types.str) [ ];
        };
      }
    )) { };
    users.mutableUsers = optional types.bool true;
    users.allowNoPasswordLogin = enable;
    users.users = optional (types.attrsOf (
      types.submodule {
        options = {
          uid = optional (types.nullOr types.int) null;
          group = optional types.str "";
          isSystemUser = enable;
        };
      }
    )) { };
    users.groups = optional (types.attrsOf (
      types.submodule {
        options = {
          gid = optional (types.nullOr types.int) null;
        };
      }
    )) { };
  };

  config = {
    environment.defaultPackages = [ pkgs.nftables ];
    system.build.initialRamdisk = pkgs.linux;
    assertions = [
      {
        assertion = config.services.haproxy.enable -> config.services.haproxy.config != null;
        message = "You must provide services.haproxy.config.";
      }
      {
        assertion = config.fileSystems ? "/";
        message = "The ‘fileSystems’ option does not specify your root file system.";
      }
      {
        assertion = config.users.mutableUsers || config.users.allowNoPasswordLogin;
        message = "Neither the root account nor any wheel user has a password or SSH authorized key.";
      }
    ];
    environment.etc."haproxy.cfg" = lib.mkIf config.services.haproxy.enable {
      source = "/nix/store/haproxy.conf";
    };
    environment.etc."ssh/sshd_config" = lib.mkIf config.services.openssh.enable {
      source = "/nix/store/sshd.conf-final";
    };
    environment.sessionVariables = lib.mkIf config.services.patroni.enable {
      PATRONICTL_CONFIG_FILE = "/etc/patroni.yaml";
    };
    security.pam.services.sshd.startSession = lib.mkIf config.services.openssh.enable true;
    users.users.etcd = lib.mkIf config.services.etcd.enable {
      isSystemUser = true;
      group = "etcd";
    };
    # Asking for the system forces every option, as a build would; of the services those that run.
    system.build.toplevel =
      let
        others = removeAttrs config [
          "_module"
          "services"
          "system"
        ];
        running = builtins.filter (service: service.enable) (builtins.attrValues config.services);
      in
      if failed != [ ] then
        throw "Failed assertions: ${(builtins.head failed).message}"
      else
        builtins.deepSeq [
          others
          running
          config.system.stateVersion
        ] pkgs.coreutils;
  };
}
