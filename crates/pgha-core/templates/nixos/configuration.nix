# Role set {{ role_set }} of cluster {{ cluster }}, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = {{ digest | nix }};
    roles = [
{% for role in roles %}
      {{ role | nix }}
{% endfor %}
    ];
    postgresql.major = {{ major }};
{% if extensions %}
    postgresql.extensions = [
{% for extension in extensions %}
      {{ extension | nix }}
{% endfor %}
    ];
{% endif %}
  };
  # Defaults that follow the release a system was first installed with. An image keeps no state, so they follow the pin.
  system.stateVersion = "26.05";
}
