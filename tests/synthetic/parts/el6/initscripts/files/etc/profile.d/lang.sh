[ -r /etc/sysconfig/i18n ] && . /etc/sysconfig/i18n
[ -n "$LANG" ] && export LANG
