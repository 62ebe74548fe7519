#compdef callvault
# zsh completion of callvault
_callvault() {
    local -a found
    local name help
    while IFS=$'\t' read -r name help; do
        found+=("${name//:/\\:}${help:+:$help}")
    done < <("$words[1]" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( $#found )); then
        _describe callvault found
    else
        _files
    fi
}
if [[ $funcstack[1] == _callvault ]]; then
    _callvault "$@" # from a file of fpath
else
    compdef _callvault callvault
fi
