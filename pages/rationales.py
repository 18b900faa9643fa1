import streamlit as st

st.write('rationales')
