# The part of nixpkgs' lib that our Nix files use, in our own words.
let
  inherit (builtins)
    all
    any
    attrNames
    concatLists
    concatMap
    elem
    filter
    foldl'
    hasAttr
    head
    isAttrs
    isBool
    isFunction
    isInt
    isList
    isPath
    isString
    length
    listToAttrs
    map
    mapAttrs
    stringLength
    substring
    ;
in
rec {
  genAttrs =
    names: make:
    listToAttrs (
      map (name: {
        inherit name;
        value = make name;
      }) names
    );
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  unique = foldl' (seen: x: if elem x seen then seen else seen ++ [ x ]) [ ];
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  hasSuffix =
    suffix: text:
    let
      from = stringLength text - stringLength suffix;
    in
    from >= 0 && substring from (stringLength suffix) text == suffix;
  removePrefix =
    prefix: text: if hasPrefix prefix text then substring (stringLength prefix) (-1) text else text;
  removeSuffix =
    suffix: text:
    if hasSuffix suffix text then substring 0 (stringLength text - stringLength suffix) text else text;
  makeBinPath = packages: builtins.concatStringsSep ":" (map (package: "${package}/bin") packages);
  cleanSourceWith =
    { src, filter }:
    builtins.path {
      path = src;
      name = "source";
      inherit filter;
    };
  getVersion = package: package.version or (builtins.parseDrvName package.name).version;
  licenses = genAttrs [ "mit" "asl20" ] (name: name);
  platforms.linux = [
    "x86_64-linux"
    "aarch64-linux"
  ];
  optional = condition: value: if condition then [ value ] else [ ];
  escapeShellArg = text: "'${text}'";
  inherit (builtins)
    concatLists
    elem
    filter
    length
    ;

  # Properties of definitions.
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkForce = mkOverride 50;
  mkDefault = mkOverride 1000;
  mkOption = option: option // { _type = "option"; };

  kind = value: if isAttrs value then value._type or "" else "";

  # A definition of a set as several plain sets, with every property moved down to the attributes.
  pushDown =
    definition:
    let
      down = wrap: map (mapAttrs (_: wrap)) (pushDown definition.content);
    in
    {
      "merge" = concatMap pushDown definition.contents;
      "if" = down (mkIf definition.condition);
      "override" = down (mkOverride definition.priority);
    }
    .${kind definition} or [ definition ];

  # The values of a definition, each with its priority; 100 is an ordinary one's, the lowest number wins.
  discharge =
    definition:
    {
      "merge" = concatMap discharge definition.contents;
      "if" = if definition.condition then discharge definition.content else [ ];
      "override" = map (value: value // { inherit (definition) priority; }) (
        discharge definition.content
      );
    }
    .${kind definition} or [
      {
        priority = 100;
        value = definition;
      }
    ];

  winners =
    definitions:
    let
      values = concatMap discharge definitions;
      best = foldl' (a: b: if b.priority < a then b.priority else a) 9999 values;
    in
    map (found: found.value) (filter (found: found.priority == best) values);

  mergeType =
    path: type: definitions:
    let
      values = winners definitions;
      bad = filter (value: !type.check value) values;
    in
    if bad != [ ] then
      throw "A definition for option `${path}' is not of type `${type.name}'"
    else
      type.merge path values;

  equal =
    path: values:
    if all (value: value == head values) values then
      head values
    else
      throw "The option `${path}' has conflicting definition values";
  simple = name: check: {
    inherit name check;
    merge = equal;
  };
  types = {
    bool = simple "boolean" isBool;
    int = simple "signed integer" isInt;
    str = simple "string" isString;
    lines = {
      name = "strings concatenated with \"\\n\"";
      check = isString;
      merge = _: builtins.concatStringsSep "\n";
    };
    path = simple "absolute path" (
      value: isPath value || (isString value && hasPrefix "/" value) || value ? outPath
    );
    package = simple "package" (value: isAttrs value && value ? outPath);
    raw = simple "raw value" (_: true);
    enum = allowed: simple "one of the allowed values" (value: elem value allowed);
    nullOr =
      type:
      type
      // {
        name = "null or ${type.name}";
        check = value: value == null || type.check value;
        merge = path: values: if all (value: value == null) values then null else type.merge path values;
      };
    listOf = type: {
      name = "list of ${type.name}";
      check = isList;
      merge = path: values: map (value: mergeType "${path}.[]" type [ value ]) (concatLists values);
    };
    attrsOf = type: {
      name = "attribute set of ${type.name}";
      check = isAttrs;
      merge =
        path: values:
        let
          sets = concatMap pushDown values;
          names = unique (concatMap attrNames sets);
          of = name: map (set: set.${name}) (filter (hasAttr name) sets);
        in
        genAttrs (filter (name: winners (of name) != [ ]) names) (
          name: mergeType "${path}.${name}" type (of name)
        );
    };
    # Every name that is defined has a value; which one is only looked at when somebody asks.
    lazyAttrsOf =
      type:
      types.attrsOf type
      // {
        merge =
          path: values:
          let
            sets = concatMap pushDown values;
          in
          genAttrs (unique (concatMap attrNames sets)) (
            name: mergeType "${path}.${name}" type (map (set: set.${name}) (filter (hasAttr name) sets))
          );
      };
    submodule = module: {
      name = "submodule";
      check = isAttrs;
      merge = path: values: evalOptions path [ module.options ] values;
    };
  };

  # Values of a tree of options.
  evalOptions =
    path: trees: definitions:
    let
      sets = concatMap pushDown definitions;
      declared = unique (concatMap attrNames trees);
      defined = unique (concatMap attrNames sets);
      unknown = filter (name: !elem name declared) defined;
      at = name: if path == "" then name else "${path}.${name}";
      value =
        name:
        let
          below = map (tree: tree.${name}) (filter (hasAttr name) trees);
          given = map (set: set.${name}) (filter (hasAttr name) sets);
          isOption = any (tree: kind tree == "option") below;
          option = head below;
        in
        if !isOption then
          evalOptions (at name) below given
        else if winners given != [ ] then
          mergeType (at name) option.type given
        else if option ? default then
          option.default
        else
          throw "The option `${at name}' is used but not defined";
    in
    if unknown != [ ] then
      throw "The option `${at (head unknown)}' does not exist"
    else
      genAttrs declared value;

  evalModules =
    { modules, specialArgs }:
    let
      load =
        module:
        let
          loaded = if isPath module || isString module then import module else module;
          called = if isFunction loaded then loaded arguments else loaded;
          plain = if kind called != "" then { config = called; } else called;
          structured = plain ? config || plain ? options;
        in
        concatMap load (plain.imports or [ ])
        ++ [
          {
            options = plain.options or { };
            config = if structured then plain.config or { } else removeAttrs plain [ "imports" ];
          }
        ];
      loaded = concatMap load modules;
      config = evalOptions "" (map (module: module.options) loaded) (map (module: module.config) loaded);
      arguments = specialArgs // {
        inherit config;
        lib = self;
      };
      self = import ./lib.nix;
    in
    {
      inherit config;
    };
}
